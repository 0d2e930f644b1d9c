"""The writer: a draft becomes the signed bytes that go over the wire, beside the event loop where it is large."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from app.errors import FieldError, InvalidRequest, TooLarge
from app.letters.additions import header_fields
from app.letters.drafts import AnyDraft, RawDraft
from app.letters.raw import check_domains, write_raw
from app.mail.dkim import SigningKey, sign
from app.mail.mime.compose import compose
from app.mail.mime.content import Content
from app.mail.refusal import Refusal
from app.messages import Letter, Message, TlsWish
from app.projects.keyring import Keyring
from app.settings import Settings

_THREAD_ABOVE_BYTES = 256 * 1024
"""Drafts larger than this are composed beside the event loop, which would stand still for milliseconds."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes letters. Built once, at the start."""

    keyring: Keyring
    settings: Settings

    async def write(self, draft: AnyDraft, message: Message) -> Letter:
        """Return the message with its bytes. Raises InvalidRequest or TooLarge."""
        keys = self._keys(draft)
        try:
            if draft.size_bytes > _THREAD_ABOVE_BYTES:
                raw = await asyncio.to_thread(_write, draft, message, keys)
            else:
                raw = _write(draft, message, keys)
        except Refusal as error:
            raise InvalidRequest((FieldError("", "invalid_content", error.reason),)) from error
        self._check_size(raw)
        return Letter(replace(message, size_bytes=len(raw)), (raw,))

    def _keys(self, draft: AnyDraft) -> tuple[SigningKey, ...]:
        domain = draft.sender.address.domain
        keys = self.keyring.keys_for(domain)
        if not keys and self.settings.dkim.required:
            detail = (
                f"{domain} has no DKIM key here; make one with `pillarbox dkim create {domain}`"
            )
            raise InvalidRequest((FieldError(draft.sender_pointer, "domain_without_key", detail),))
        if isinstance(draft, RawDraft) and self.settings.dkim.required:
            check_domains(draft, self.keyring)
        return keys

    def _check_size(self, raw: bytes) -> None:
        most = self.settings.api.max_message_bytes
        if len(raw) > most:
            raise TooLarge(
                f"the message has {len(raw)} bytes; {most} are allowed: link to large files instead"
            )


def _write(draft: AnyDraft, message: Message, keys: tuple[SigningKey, ...]) -> bytes:
    if isinstance(draft, RawDraft):
        return write_raw(draft, message, keys)
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
        headers=header_fields(draft),
        date=message.created_at,
        amp=draft.amp,
        invitation=draft.invitation,
        is_tls_optional=draft.options.tls is TlsWish.OPTIONAL,
        message_id=f"{unique}@{draft.sender.address.domain}",
    )
    return sign(compose(content, unique), keys, message.created_at)
