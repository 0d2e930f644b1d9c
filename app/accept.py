"""The use case behind each way to send: from a checked draft to a message that is on disk.

Nothing is kept before the one atomic step, and when `accept` returns everything is. What happens after
it (ringing the alarm) may fail without harm: the clock wakes every due lane.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from weakref import WeakValueDictionary

from app.errors import (
    FieldError,
    IdempotencyConflict,
    InvalidRequest,
    PillarboxError,
    SpoolError,
    TooLarge,
    VaultClosed,
)
from app.identity.returnpath import NO_PATHS, Place, ReturnPaths
from app.identity.senders import Senders
from app.ids import ProjectId, new_message_id
from app.letters.drafts import AnyDraft, Draft
from app.letters.library import Library
from app.letters.writer import Outline, Writer, Written
from app.messages import Letter, Message, Receipt, Recipient
from app.projects.keys import Caller
from app.settings import Settings
from app.spool.health import Health
from app.spool.jobs import Alarm
from app.spool.store import Idempotency, Keeping, Kept, Store

_MERGES_AT_A_TIME = 4
_MERGES_OF_ONE = 2


class Merges:
    """Lets few merges be under way at a time, half of them of one project: a small request makes many
    megabytes of copies, and its HTML may take long to read.
    """

    def __init__(self) -> None:
        """Have none under way."""
        self._all = asyncio.Semaphore(_MERGES_AT_A_TIME)
        # Forgotten when nobody waits for one or has it.
        self._own: WeakValueDictionary[ProjectId, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, project: ProjectId) -> AsyncIterator[None]:
        """Wait until there is room for one more, and take it."""
        own = self._own.setdefault(project, asyncio.Semaphore(_MERGES_OF_ONE))
        async with own, self._all:
            yield


@dataclass(frozen=True, slots=True)
class Acceptor:
    """Accepts drafts. Built once, at the start."""

    store: Store
    alarm: Alarm
    health: Health
    library: Library
    writer: Writer
    senders: Senders
    settings: Settings
    return_paths: ReturnPaths = NO_PATHS
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    merges: Merges = field(default_factory=Merges, repr=False)

    async def accept(
        self, draft: AnyDraft, caller: Caller, idempotency: Idempotency | None
    ) -> Receipt:
        """Compose, sign and keep the message; return its receipt once it is on disk.

        Raises InvalidRequest, TooLarge, IdempotencyConflict, VaultClosed, or SpoolError; then nothing was kept.
        """
        async with self.written(draft, caller) as written:
            kept = await self.store.keep(written.letter, idempotency)
        self.alarm.ring_soon(kept.wakes)
        return kept.receipt

    @asynccontextmanager
    async def written(self, draft: AnyDraft, caller: Caller) -> AsyncIterator[Written]:
        """Yield the message composed and signed, while it has its turn; nothing is kept.

        Raises InvalidRequest, TooLarge, or SpoolError.
        """
        self.health.require_room()
        draft = await self._permitted(draft, caller.project)
        async with self._turn(draft, caller):
            yield await self.writer.written(draft, await self._message(draft, caller))

    async def _permitted(self, draft: AnyDraft, project: ProjectId) -> AnyDraft:
        """Return the draft with what its template says, where the project may send in its name."""
        await self.senders.require(draft, project)
        return await self.library.applied(draft, project) if isinstance(draft, Draft) else draft

    async def accept_all(
        self,
        drafts: Sequence[AnyDraft | PillarboxError],
        caller: Caller,
        idempotencies: Sequence[Idempotency | None],
    ) -> list[Receipt | PillarboxError]:
        """Do the same with several drafts at once: return the receipt of each, or why it has none.

        An error in place of a draft stays one, unless its idempotency key has a receipt.
        """
        try:
            self.health.require_room()
        except SpoolError as error:
            return [error] * len(drafts)
        outlines = [await self._outline(draft, caller) for draft in drafts]
        composed = await asyncio.to_thread(lambda: [*map(self._composed, outlines)])
        both = list(zip(composed, idempotencies, strict=True))
        wanted = [Keeping(each, once) for each, once in both if isinstance(each, Letter)]
        kept = iter(await self.store.keep_all(wanted))
        return [
            self._told(next(kept))
            if isinstance(each, Letter)
            else await self._alone(each, caller, once)
            for each, once in both
        ]

    async def _outline(
        self, draft: AnyDraft | PillarboxError, caller: Caller
    ) -> Outline | AnyDraft | PillarboxError:
        """Return what a letter is composed from; a merge stays a draft, since it has a turn of its own."""
        if isinstance(draft, PillarboxError) or draft.has_copies:
            return draft
        try:
            draft = await self._permitted(draft, caller.project)
            return await self.writer.outline(draft, await self._message(draft, caller))
        except (InvalidRequest, TooLarge, SpoolError, VaultClosed) as error:
            return error

    def _composed(
        self, outline: Outline | AnyDraft | PillarboxError
    ) -> Letter | AnyDraft | PillarboxError:
        if not isinstance(outline, Outline):
            return outline
        try:
            return self.writer.composed(outline)
        except (InvalidRequest, TooLarge) as error:
            return error

    def _told(self, kept: Kept | PillarboxError) -> Receipt | PillarboxError:
        if isinstance(kept, PillarboxError):
            return kept
        self.alarm.ring_soon(kept.wakes)
        return kept.receipt

    async def _alone(
        self, draft: AnyDraft | PillarboxError, caller: Caller, once: Idempotency | None
    ) -> Receipt | PillarboxError:
        """Accept a draft by itself. What was accepted once stays accepted, though it is refused now."""
        if isinstance(draft, PillarboxError):
            return await self._first_or(draft, caller, once)
        try:
            return await self.accept(draft, caller, once)
        except (InvalidRequest, TooLarge, IdempotencyConflict, SpoolError, VaultClosed) as error:
            return await self._first_or(error, caller, once)

    async def _first_or(
        self, refusal: PillarboxError, caller: Caller, once: Idempotency | None
    ) -> Receipt | PillarboxError:
        if not isinstance(refusal, InvalidRequest | TooLarge):
            return refusal
        try:
            return await self.store.first_receipt(caller.project, once) or refusal
        except SpoolError as error:
            return error

    def _turn(self, draft: AnyDraft, caller: Caller) -> AbstractAsyncContextManager[object]:
        return self.merges.turn(caller.project) if draft.has_copies else nullcontext()

    async def _message(self, draft: AnyDraft, caller: Caller) -> Message:
        now, options, author = self.clock(), draft.options, draft.sender.address
        identity, recipients = new_message_id(), self._recipients(draft)
        place = await self._place(draft, caller)
        return Message(
            id=identity,
            project=caller.project,
            stream=options.stream,
            mail_from=str(draft.mail_from),
            subject=draft.subject,
            other_author=str(author) if author != draft.mail_from else "",
            recipients=recipients,
            tags=options.tags,
            metadata=options.metadata,
            created_at=now,
            expires_at=self._expires_at(draft, now),
            on_unknown=options.on_unknown,
            tls=options.tls,
            report_to=str(options.report_to) if options.report_to else None,
            late_at=now + self.settings.reports.late_after if options.report_to else None,
            is_merged=draft.has_copies,
            return_paths=place.paths(caller.project, options.stream, identity, recipients)
            if place
            else (),
        )

    async def _place(self, draft: AnyDraft, caller: Caller) -> Place | None:
        """Return where return paths stand that are made here; None where the draft's own is the one."""
        if draft.has_own_path:
            return None
        return await self.return_paths.place(caller.project, draft.sender.address.domain)

    def _recipients(self, draft: AnyDraft) -> tuple[Recipient, ...]:
        recipients, most = draft.recipients(), self.settings.api.max_recipients
        if len(recipients) > most:
            detail = (
                f"{len(recipients)} recipients in to, cc and bcc; a message may have {most}: "
                "send several messages"
            )
            raise InvalidRequest((FieldError("/to", "too_many_recipients", detail),))
        return recipients

    def _expires_at(self, draft: AnyDraft, now: datetime) -> datetime:
        delivery = self.settings.delivery
        expires_at = draft.options.expires_at or now + delivery.expires_after
        if not now < expires_at <= now + delivery.max_expires_after:
            detail = (
                f"must lie in the future and at most {delivery.max_expires_after.days} days ahead"
            )
            raise InvalidRequest((FieldError("/expires_at", "out_of_range", detail),))
        return expires_at
