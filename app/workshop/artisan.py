"""An artisan: keeps one child process, gives it orders, and replaces it when it is lost."""

from __future__ import annotations

import asyncio
import math
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

from app.processes.children import python
from app.processes.tether import tethered
from app.workshop.orders import (
    LENGTH_BYTES,
    Answer,
    BrokenPipe,
    Craft,
    Order,
    Piece,
    Trouble,
    WorkshopRefusal,
    framed,
    length_of,
    unframed,
)

_START_S = 20.0
_READ_BYTES = 1024 * 1024


class BenchLost(Exception):
    """A child could not be started."""


@dataclass(frozen=True, slots=True)
class Means:
    """What one child may use."""

    timeout: timedelta
    memory_bytes: int
    most_bytes: int
    """Of one piece."""


class Artisan:
    """Works on one order at a time. The child is started with the first; who opens, closes."""

    def __init__(self, means: Means) -> None:
        """Start nothing yet."""
        self._means = means
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while there is one."""
        return self._process.pid if self._process else None

    async def __aenter__(self) -> Self:
        """Start nothing yet."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the child."""
        await self._end()

    async def make(self, craft: Craft, text: str) -> Piece:
        """Return the piece. Raises WorkshopRefusal, or BenchLost where no child can be started.

        A child that fails or takes too long is gone afterwards; the next order starts another.
        """
        process = await self._started()
        seconds = self._means.timeout.total_seconds()
        order = Order(craft, text, math.ceil(seconds), self._means.most_bytes)
        try:
            async with asyncio.timeout(seconds):
                answer = await _asked(process, order)
        except TimeoutError:
            await self._end()
            raise WorkshopRefusal(
                Trouble.TOO_SLOW, f"it takes longer than {seconds:g} seconds; make it simpler"
            ) from None
        except (OSError, EOFError, BrokenPipe) as error:
            await self._end()
            raise WorkshopRefusal(
                Trouble.FAILED,
                "it takes too much memory or brings the program down; make it simpler",
            ) from error
        except BaseException:
            await self._end()  # what it is about to say belongs to nobody
            raise
        if answer.piece is None:
            raise WorkshopRefusal(answer.trouble, answer.reason)
        return answer.piece

    async def _started(self) -> Process:
        if self._process and self._process.returncode is None:
            return self._process
        await self._end()
        command = _command(self._means.memory_bytes)
        try:
            async with asyncio.timeout(_START_S):
                # A group of its own keeps the terminal's Ctrl-C away: it ends when we do.
                self._process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=DEVNULL,
                    env={},
                    start_new_session=True,
                    limit=_READ_BYTES,
                )
                await _answer_of(self._process)
        except (OSError, EOFError, BrokenPipe, TimeoutError) as error:
            await self._end()
            raise BenchLost(f"{type(error).__name__}: {error}") from error
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()


def _command(memory_bytes: int) -> Sequence[str]:
    """Return what runs the bench, tied to this process, with none of its environment, settings or secrets."""
    bench, *rest = python("-E", "-s", "-B", "-m", "app.workshop.bench", str(memory_bytes))
    return tethered([bench, *rest])


async def _asked(process: Process, order: Order) -> Answer:
    assert process.stdin
    process.stdin.write(framed(order))
    await process.stdin.drain()
    return await _answer_of(process)


async def _answer_of(process: Process) -> Answer:
    assert process.stdout
    head = await process.stdout.readexactly(LENGTH_BYTES)
    return unframed(await process.stdout.readexactly(length_of(head)), Answer)
