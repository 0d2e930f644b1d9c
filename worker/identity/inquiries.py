"""The questions that this process answers for the API, beside its drains: a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import structlog

from app.errors import SpoolError
from app.identity.domains import DomainName
from app.ids import InquiryId, ProjectId
from app.spool.inquiries import Inquiries
from worker.identity.checks import DomainChecks

_MOST = 50
"""Answers under way in one process; what is asked beyond is not answered here."""

_log = structlog.get_logger(__name__)

Answering: TypeAlias = Callable[[Sequence[str]], Awaitable[bytes]]
"""Finds the answer to a question of one kind, by the names that came with it."""


class Answers:
    """Starts answers and checks, and sees them to their end. Use it with `async with`, which stops them."""

    def __init__(
        self,
        checks: DomainChecks,
        inquiries: Inquiries,
        others: Mapping[str, Answering] = MappingProxyType({}),
    ) -> None:
        """Run nothing yet. `others` answer questions of other kinds than those about domains."""
        self._checks = checks
        self._inquiries = inquiries
        self._kinds: Mapping[str, Answering] = {"domain": self._domain, **others}
        self._running: set[asyncio.Task[None]] = set()
        self._checking: dict[DomainName, asyncio.Task[bool]] = {}

    async def __aenter__(self) -> Answers:
        """Return itself."""
        return self

    async def __aexit__(self, *failure: object) -> None:
        """Stop what is under way; nobody depends on it."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    def start(self, inquiry: InquiryId, kind: str, names: Sequence[str]) -> None:
        """Answer a question; one of a kind that this program does not know is left without an answer."""
        answering = self._kinds.get(kind)
        if answering is None or self.room() <= 0:
            _log.warning("inquiry_left", kind=kind, running=len(self._running))
            return
        self._run(self._answer(inquiry, answering, names))

    def check(self, name: DomainName) -> None:
        """Check a domain, unless it is being checked here."""
        if name not in self._checking:
            self._run(self._check(name))

    def room(self) -> int:
        """Return how many more may be started."""
        return _MOST - len(self._running)

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(_seen_through(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _answer(self, inquiry: InquiryId, answering: Answering, names: Sequence[str]) -> None:
        await self._inquiries.answer(inquiry, await answering(names))

    async def _domain(self, names: Sequence[str]) -> bytes:
        project, name = names
        await self._check(DomainName(ProjectId(project), name))
        return b"checked"

    async def _check(self, name: DomainName) -> None:
        """Check a domain, or wait for the check under way: however many ask, name servers are asked once."""
        checking = self._checking.get(name)
        if checking is None:
            checking = asyncio.ensure_future(self._checks.check(name))
            self._checking[name] = checking
            checking.add_done_callback(lambda _: self._checking.pop(name, None))
        await checking


async def _seen_through(work: Coroutine[None, None, None]) -> None:
    """Run to the end; the boundary where a fault of ours is logged."""
    try:
        await work
    except SpoolError as error:
        _log.warning("check_without_redis", error=error.detail)
    except Exception:
        _log.exception("check_failed")
