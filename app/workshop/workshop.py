"""The door of the workshop: checks what comes in, lets projects take turns, and counts what was refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import structlog

from app.errors import WorkshopBusy
from app.settings import WorkshopSettings
from app.signals.metrics import WorkshopMetrics
from app.workshop.artisan import Artisan, BenchLost, Means
from app.workshop.elements import deepest
from app.workshop.orders import Craft, Piece, Trouble, WorkshopRefusal
from app.workshop.shelf import Shelf, key_of
from app.workshop.turns import Turns

_log = structlog.get_logger(__name__)

_MADE_OF_ONE = 4
"""Bytes of a piece for each byte that a text may have."""
_SHELF_BYTES = 4 * 1024 * 1024
_THREAD_ABOVE = 64 * 1024
"""Characters that are looked through beside the event loop: it takes a tenth of a millisecond per KB."""
_STOPPING = "this process is about to stop: send this again in a moment"


@dataclass(frozen=True, slots=True)
class _Wish:
    craft: Craft
    text: str
    piece: asyncio.Future[Piece]


class Workshop:
    """Makes HTML from MJML, inlines styles, and makes text from HTML, in child processes with limits.

    Every method raises WorkshopRefusal where nothing can be made of the text (its `reason` is a sentence for
    whoever wrote it), and WorkshopBusy where too much waits or no child can be started.
    """

    def __init__(self, settings: WorkshopSettings, metrics: WorkshopMetrics) -> None:
        """Prepare; work is done while it is `opened`."""
        self._settings = settings
        self._metrics = metrics
        self._turns: Turns[_Wish] = Turns()
        self._shelf = Shelf(_SHELF_BYTES)
        means = Means(
            settings.timeout, settings.memory_bytes, settings.max_input_bytes * _MADE_OF_ONE
        )
        self.artisans = tuple(Artisan(means) for _ in range(settings.children))

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Work until the block ends; then the children end. They start when they are first needed."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._work(artisan)) for artisan in self.artisans]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await self._turn_away()

    async def html_of_mjml(self, mjml: str, project: str) -> Piece:
        """Return the HTML document that an MJML document means, with template syntax left as it is.

        A refusal names the line. Warnings name expressions that MJML has no use for.
        """
        return await self._made(Craft.MJML, mjml, project)

    async def with_inlined_css(self, html: str, project: str) -> Piece:
        """Return the HTML document with its style sheets in `style` attributes, template syntax left as it is.

        What cannot stand in an attribute (`@media`, `:hover`), and style sheets with `{% … %}`, stay as they are.
        """
        return await self._made(Craft.STYLES, html, project)

    async def text_of_html(self, html: str, project: str) -> Piece:
        """Return what a reader without HTML gets to see; empty where the document shows no words."""
        return await self._made(Craft.PLAINTEXT, html, project)

    async def _made(self, craft: Craft, text: str, project: str) -> Piece:
        try:
            key = key_of(craft, self._encoded(text), project)
            piece = self._shelf.find(key)
            if piece is None:
                await self._check_depth(craft, text)
                piece = await self._in_turn(craft, text, project)
                self._shelf.keep(key, piece)
        except WorkshopRefusal as refusal:
            self._metrics.made(craft, refusal.trouble)
            raise
        except WorkshopBusy:
            self._metrics.made(craft, "busy")
            raise
        self._metrics.made(craft, "made")
        return piece

    def _encoded(self, text: str) -> bytes:
        """Return the text as bytes. Raises WorkshopRefusal where there are too many."""
        try:
            encoded = text.encode()
        except UnicodeEncodeError:
            raise WorkshopRefusal(
                Trouble.INVALID, "it holds a lone surrogate: send well-formed Unicode"
            ) from None
        most = self._settings.max_input_bytes
        if len(encoded) > most:
            raise WorkshopRefusal(
                Trouble.TOO_LARGE,
                f"it has {len(encoded)} bytes; {most} are allowed here: make it shorter",
            )
        return encoded

    async def _check_depth(self, craft: Craft, text: str) -> None:
        """Refuse what would occupy or kill a child; no depth makes text slow. Raises WorkshopRefusal."""
        if craft is Craft.PLAINTEXT:
            return
        is_mjml, most = craft is Craft.MJML, self._settings.max_depth
        if len(text) > _THREAD_ABOVE:
            depth = await asyncio.to_thread(deepest, text, is_mjml=is_mjml)
        else:
            depth = deepest(text, is_mjml=is_mjml)
        if depth > most:
            raise WorkshopRefusal(
                Trouble.TOO_DEEP,
                f"its elements are nested {depth} deep; {most} are allowed: close them earlier",
            )

    async def _in_turn(self, craft: Craft, text: str, project: str) -> Piece:
        most = self._settings.max_waiting
        if len(self._turns) >= most or 2 * self._turns.waiting(project) >= most:
            raise WorkshopBusy("much HTML is being worked on: send this again in a moment")
        wish = _Wish(craft, text, asyncio.get_running_loop().create_future())
        self._turns.put(project, wish)
        return await wish.piece

    async def _work(self, artisan: Artisan) -> None:
        async with artisan:
            while True:
                wish = await self._turns.take()
                if wish.piece.done():
                    continue  # who wanted it has left
                try:
                    await _fulfil(wish, artisan)
                finally:
                    _tell(wish, WorkshopBusy(_STOPPING))  # unless it was told what came of it

    async def _turn_away(self) -> None:
        while len(self._turns):
            _tell(await self._turns.take(), WorkshopBusy(_STOPPING))


async def _fulfil(wish: _Wish, artisan: Artisan) -> None:
    try:
        piece = await artisan.make(wish.craft, wish.text)
    except WorkshopRefusal as refusal:
        _tell(wish, refusal)
    except BenchLost as error:
        _log.error("workshop_child_failed", error=str(error))
        _tell(wish, WorkshopBusy("HTML cannot be worked on now: send this again in a moment"))
    else:
        if not wish.piece.done():
            wish.piece.set_result(piece)


def _tell(wish: _Wish, error: WorkshopRefusal | WorkshopBusy) -> None:
    if not wish.piece.done():
        wish.piece.set_exception(error)
