"""The use case behind each way to send: from a checked draft to a message that is on disk.

Nothing is kept before the one atomic step, and when `accept` returns everything is. What happens after
it (ringing the alarm) may fail without harm: the clock wakes every due lane.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.errors import FieldError, InvalidRequest
from app.ids import new_message_id
from app.letters.drafts import AnyDraft, Draft
from app.letters.library import Library
from app.letters.writer import Writer
from app.messages import Message, Receipt, Recipient
from app.projects.keys import Caller
from app.settings import Settings
from app.spool.health import Health
from app.spool.jobs import Alarm
from app.spool.store import Idempotency, Store

_MERGES_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class Acceptor:
    """Accepts drafts. Built once, at the start."""

    store: Store
    alarm: Alarm
    health: Health
    library: Library
    writer: Writer
    settings: Settings
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    merges: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(_MERGES_AT_A_TIME), repr=False
    )

    async def accept(
        self, draft: AnyDraft, caller: Caller, idempotency: Idempotency | None
    ) -> Receipt:
        """Compose, sign and keep the message; return its receipt once it is on disk.

        Raises InvalidRequest, TooLarge, IdempotencyConflict, or SpoolError; then nothing was kept.
        """
        self.health.require_room()
        if isinstance(draft, Draft):
            draft = await self.library.applied(draft, caller.project)
        async with self._turn(draft):
            letter = await self.writer.write(draft, self._message(draft, caller))
            kept = await self.store.keep(letter, idempotency)
        self.alarm.ring_soon(kept.wakes)
        return kept.receipt

    def _turn(self, draft: AnyDraft) -> AbstractAsyncContextManager[object]:
        """Let few merges be under way at a time: a small request makes many megabytes of copies."""
        return self.merges if draft.is_merged else nullcontext()

    def _message(self, draft: AnyDraft, caller: Caller) -> Message:
        now, options, author = self.clock(), draft.options, draft.sender.address
        return Message(
            id=new_message_id(),
            project=caller.project,
            stream=options.stream,
            mail_from=str(draft.mail_from),
            subject=draft.subject,
            other_author=str(author) if author != draft.mail_from else "",
            recipients=self._recipients(draft),
            tags=options.tags,
            metadata=options.metadata,
            created_at=now,
            expires_at=self._expires_at(draft, now),
            on_unknown=options.on_unknown,
            tls=options.tls,
            report_to=str(options.report_to) if options.report_to else None,
            late_at=now + self.settings.reports.late_after if options.report_to else None,
            is_merged=draft.is_merged,
        )

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
