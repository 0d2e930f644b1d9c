"""The use case behind `POST /messages`: from a checked draft to a message that is on disk.

Nothing is kept before the one atomic step, and when `accept` returns everything is. What happens after
it (ringing the alarm) may fail without harm: the clock wakes every due lane.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from app.errors import FieldError, InvalidRequest, TooLarge
from app.ids import new_message_id
from app.mail.address import Mailbox
from app.mail.dkim import SigningKey, sign
from app.mail.headers import HeaderError
from app.mail.mime.compose import compose
from app.mail.mime.content import Content, ContentError
from app.messages import Draft, Field, Message, Receipt, Recipient, TlsWish
from app.projects.keyring import Keyring
from app.projects.keys import Caller
from app.settings import Settings
from app.spool.health import Health
from app.spool.jobs import Alarm
from app.spool.store import Idempotency, Store

_THREAD_ABOVE_BYTES = 256 * 1024
"""Drafts larger than this are composed beside the event loop, which would stand still for milliseconds."""


@dataclass(frozen=True, slots=True)
class Acceptor:
    """Accepts drafts. Built once, at the start."""

    store: Store
    alarm: Alarm
    health: Health
    keyring: Keyring
    settings: Settings
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def accept(
        self, draft: Draft, caller: Caller, idempotency: Idempotency | None
    ) -> Receipt:
        """Compose, sign and keep the message; return its receipt once it is on disk.

        Raises InvalidRequest, TooLarge, IdempotencyConflict, or SpoolError; then nothing was kept.
        """
        self.health.require_room()
        keys = self._keys(draft)
        message = self._message(draft, caller)
        raw = await self._written(draft, message, keys)
        kept = await self.store.keep(replace(message, size_bytes=len(raw)), raw, idempotency)
        self.alarm.ring_soon(kept.wakes)
        return kept.receipt

    def _message(self, draft: Draft, caller: Caller) -> Message:
        now = self.clock()
        return Message(
            id=new_message_id(),
            project=caller.project,
            stream=draft.stream,
            mail_from=str(draft.sender.address),
            subject=draft.subject,
            recipients=self._recipients(draft),
            tags=draft.tags,
            metadata=draft.metadata,
            created_at=now,
            expires_at=self._expires_at(draft, now),
            on_unknown=draft.on_unknown,
            tls=draft.tls,
            report_to=str(draft.report_to) if draft.report_to else None,
            late_at=now + self.settings.reports.late_after if draft.report_to else None,
        )

    def _recipients(self, draft: Draft) -> tuple[Recipient, ...]:
        named = [(box, field) for field in Field for box in _boxes(draft, field)]
        unique = {
            str(box.address): Recipient(str(box.address), box.address.domain, field)
            for box, field in named[::-1]
        }
        if len(unique) > self.settings.api.max_recipients:
            raise InvalidRequest(
                (
                    FieldError(
                        "/to",
                        "too_many_recipients",
                        f"{len(unique)} recipients in to, cc and bcc; a message may have "
                        f"{self.settings.api.max_recipients}: send several messages",
                    ),
                )
            )
        return tuple(unique.values())[::-1]

    def _keys(self, draft: Draft) -> tuple[SigningKey, ...]:
        domain = draft.sender.address.domain
        keys = self.keyring.keys_for(domain)
        if not keys and self.settings.dkim.required:
            detail = (
                f"{domain} has no DKIM key here; make one with `pillarbox dkim create {domain}`"
            )
            raise InvalidRequest((FieldError("/from", "domain_without_key", detail),))
        return keys

    def _expires_at(self, draft: Draft, now: datetime) -> datetime:
        delivery = self.settings.delivery
        expires_at = draft.expires_at or now + delivery.expires_after
        if not now < expires_at <= now + delivery.max_expires_after:
            detail = (
                f"must lie in the future and at most {delivery.max_expires_after.days} days ahead"
            )
            raise InvalidRequest((FieldError("/expires_at", "out_of_range", detail),))
        return expires_at

    async def _written(self, draft: Draft, message: Message, keys: tuple[SigningKey, ...]) -> bytes:
        try:
            if _weight(draft) > _THREAD_ABOVE_BYTES:
                raw = await asyncio.to_thread(_write, draft, message, keys)
            else:
                raw = _write(draft, message, keys)
        except (ContentError, HeaderError) as error:
            raise InvalidRequest((FieldError("", "invalid_content", error.reason),)) from error
        if len(raw) > self.settings.api.max_message_bytes:
            most = self.settings.api.max_message_bytes
            raise TooLarge(
                f"the message has {len(raw)} bytes; {most} are allowed: link to large files instead"
            )
        return raw


def _boxes(draft: Draft, field: Field) -> tuple[Mailbox, ...]:
    match field:
        case Field.TO:
            return draft.to
        case Field.CC:
            return draft.cc
        case Field.BCC:
            return draft.bcc


def _weight(draft: Draft) -> int:
    texts = len(draft.text or "") + len(draft.html or "")
    return texts + sum(len(attachment.content) for attachment in draft.attachments)


def _write(draft: Draft, message: Message, keys: tuple[SigningKey, ...]) -> bytes:
    unique = message.id.removeprefix("msg_")
    content = Content(
        sender=draft.sender,
        to=draft.to,
        cc=draft.cc,
        reply_to=draft.reply_to,
        subject=draft.subject,
        text=draft.text,
        html=draft.html,
        attachments=draft.attachments,
        headers=draft.headers,
        date=message.created_at,
        is_tls_optional=draft.tls is TlsWish.OPTIONAL,
        message_id=f"{unique}@{draft.sender.address.domain}",
    )
    return sign(compose(content, unique), keys, message.created_at)
