"""The writer: a draft becomes the signed bytes that go over the wire, beside the event loop where it is large."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from app.errors import FieldError, InvalidRequest, TooLarge
from app.identity.keys.keyring import Keyring
from app.ids import ProjectId
from app.letters.additions import Links, header_fields
from app.letters.drafts import AnyDraft, Draft, RawDraft
from app.letters.merging import mails
from app.letters.raw import check_domains, write_raw
from app.letters.templating import Patterns
from app.letters.texts import with_text_to_fill, with_texts
from app.mail.dkim import SigningKey, sign
from app.mail.mime.compose import compose
from app.mail.mime.content import Content
from app.mail.mime.sharing import shared_parts, without_parts
from app.mail.refusal import Refusal
from app.messages import Letter, Message, TlsWish
from app.settings import Settings
from app.workshop.workshop import Workshop

_THREAD_ABOVE_BYTES = 256 * 1024
"""Larger drafts, and merges, are written beside the event loop, which would stand still for milliseconds."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What a letter is composed from: a mail for each copy, and the keys that sign."""

    mails: tuple[AnyDraft, ...]
    message: Message
    keys: tuple[SigningKey, ...]
    is_large: bool


@dataclass(frozen=True, slots=True)
class _Own:
    """What a copy has alone: its name, the same whenever it is sent again, and a URL to unsubscribe at.

    Copies of one mail share the name, so that answers to them are one thread.
    """

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Written:
    """A message with its bytes, and what they were composed from."""

    outline: Outline
    letter: Letter


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes letters. Built once, at the start."""

    keyring: Keyring
    workshop: Workshop
    settings: Settings
    patterns: Patterns = field(default_factory=Patterns)
    links: Links = field(default_factory=Links)

    async def written(self, draft: AnyDraft, message: Message) -> Written:
        """Return the message with its bytes, and what it was composed from. Raises InvalidRequest or TooLarge."""
        outline = await self.outline(draft, message)
        if outline.is_large:
            return Written(outline, await asyncio.to_thread(self.composed, outline))
        return Written(outline, self.composed(outline))

    async def outline(self, draft: AnyDraft, message: Message) -> Outline:
        """Return what the message is composed from. Raises InvalidRequest or TooLarge."""
        keys = await self._keys(draft, message.project)
        is_large = message.is_merged or draft.size_bytes > _THREAD_ABOVE_BYTES
        return Outline(await self._mails(draft, message, is_large), message, keys, is_large)

    async def _mails(
        self, draft: AnyDraft, message: Message, is_large: bool
    ) -> tuple[AnyDraft, ...]:
        """Return what each copy is composed from: values are in it, and a text part if there shall be one."""
        if not isinstance(draft, Draft):
            return (draft,)
        most, wants_text = self.settings.api.max_message_bytes, self.settings.content.text_from_html
        if wants_text:
            draft = await with_text_to_fill(draft, message.project, self.workshop)
        if is_large:
            filled = await asyncio.to_thread(mails, draft, Patterns(), most)
        else:
            filled = mails(draft, self.patterns, most)
        if not wants_text:
            return filled
        return await with_texts(filled, message.project, self.workshop)

    def composed(self, outline: Outline) -> Letter:
        """Return the message with its bytes; may run in a thread. Raises InvalidRequest or TooLarge."""
        message = outline.message
        # Before the work is done: few bytes of a batch may name many parts.
        self._check_size(sum(mail.size_bytes for mail in outline.mails))
        try:
            copies = [
                _write(mail, message, outline.keys, own)
                for mail, own in self._copies(outline.mails, message)
            ]
        except Refusal as error:
            raise InvalidRequest((FieldError("", "invalid_content", error.reason),)) from error
        self._check_size(sum(map(len, copies)))
        subjects = {mail.subject for mail in outline.mails}
        subject = subjects.pop() if len(subjects) == 1 else message.subject
        message = replace(message, subject=subject, size_bytes=max(map(len, copies)))
        first = outline.mails[0]
        shared = shared_parts(first.attachments if isinstance(first, Draft) else ())
        return Letter(message, tuple(without_parts(copy, shared) for copy in copies), shared)

    def _copies(
        self, written: tuple[AnyDraft, ...], message: Message
    ) -> Iterator[tuple[AnyDraft, _Own]]:
        """Yield what each copy is made from: one mail for all of them, or for each its own."""
        unique = message.id.removeprefix("msg_")
        copies = len(message.recipients) if message.is_merged else 1
        is_common = len(written) < copies or not message.is_merged
        for index in range(copies):
            mail = written[0] if is_common else written[index]
            name = unique if is_common else f"{unique}.{index}"
            yield mail, _Own(name, self.links.url(mail, message, index))

    async def _keys(self, draft: AnyDraft, project: ProjectId) -> tuple[SigningKey, ...]:
        domain = draft.sender.address.domain
        keys = await self.keyring.keys_for(project, domain)
        if not keys and self.settings.dkim.required:
            detail = (
                f"{domain} has no DKIM key that signs: add it with `POST /domains`, or make new keys with "
                "`POST /domains/{name}/keys/rotate` where it is there, and publish the records of the answer; "
                f"or let the operator run `pillarbox dkim create {domain}` for all projects"
            )
            raise InvalidRequest((FieldError(draft.sender_pointer, "domain_without_key", detail),))
        if isinstance(draft, RawDraft) and self.settings.dkim.required:
            await check_domains(draft, project, self.keyring)
        return keys

    def _check_size(self, size: int) -> None:
        most = self.settings.api.max_message_bytes
        if size > most:
            raise TooLarge(
                f"the message has {size} bytes; {most} are allowed: link to large files instead"
            )


def _write(draft: AnyDraft, message: Message, keys: tuple[SigningKey, ...], own: _Own) -> bytes:
    if isinstance(draft, RawDraft):
        return write_raw(draft, message, keys)
    content = Content(
        sender=draft.sender,
        to=draft.to,
        cc=draft.cc,
        reply_to=draft.reply_to,
        subject=draft.subject,
        text=draft.text,
        html=draft.html,
        attachments=draft.attachments,
        headers=header_fields(draft, own.url),
        date=message.created_at,
        amp=draft.amp,
        invitation=draft.invitation,
        is_tls_optional=draft.options.tls is TlsWish.OPTIONAL,
        message_id=f"{own.name}@{draft.sender.address.domain}",
    )
    return sign(compose(content, own.name), keys, message.created_at)
