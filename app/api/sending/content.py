"""What a message says and to whom: the part of a request that becomes a mail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from app.api.fields import (
    IS_LINE,
    MAX_LINE,
    MAX_LIST,
    ManyMailboxes,
    OneMailbox,
    Prose,
    WireModel,
)
from app.api.pointers import pointer
from app.api.sending.parts import AttachmentIn, CalendarIn, HeaderFields
from app.api.sending.templates import TemplateChoice
from app.api.sending.threads import MessageIds, MessageIdText
from app.errors import FieldError
from app.mail.headers import HeaderError, check_header, check_one_click, is_structured
from app.mail.mime.content import Attachment, check_amp
from app.mail.refusal import Refusal
from app.mail.threads import Thread
from app.settings import Settings


class ContentForm(WireModel):
    """The author, the recipients, and what they get."""

    sender: OneMailbox = Field(
        alias="from", description="The author; its domain signs the message."
    )
    to: ManyMailboxes | None = Field(
        default=None, description="Recipients, in the To header field."
    )
    cc: ManyMailboxes | None = Field(
        default=None, description="Recipients, in the Cc header field."
    )
    bcc: ManyMailboxes | None = Field(
        default=None, description="Recipients that no other recipient sees."
    )
    reply_to: ManyMailboxes | None = Field(
        default=None, description="Where answers go instead of `from`."
    )
    subject: Annotated[str, Field(max_length=MAX_LINE), IS_LINE] | None = Field(
        default=None, description="The subject; empty where it is missing."
    )
    text: Prose | None = Field(default=None, description="The message as plain text.")
    html: Prose | None = Field(default=None, description="The message as HTML.")
    amp: Prose | None = Field(
        default=None,
        description="The message as AMP for Email, for readers that know it; others show `html`, which it needs.",
        examples=["<!doctype html><html ⚡4email>…</html>"],
    )
    template: TemplateChoice | None = Field(
        default=None,
        description="The stored template that says `subject`, `html`, `text` and `amp`; a subject that stands "
        "here too is taken instead of its own.",
        examples=["order-shipped", {"name": "order-shipped", "version": 2}],
    )
    calendar: CalendarIn | None = Field(
        default=None, description="An invitation, or another message between calendars."
    )
    attachments: Annotated[list[AttachmentIn], Field(max_length=MAX_LIST)] | None = Field(
        default=None, description="Files that go along."
    )
    in_reply_to: MessageIdText | None = Field(
        default=None, description="The Message-ID of the mail that this one answers."
    )
    references: MessageIds | None = Field(
        default=None,
        description="The Message-IDs of the thread, the oldest first; `in_reply_to` is added where it is missing. "
        "Of a long thread the first and the last ones are sent.",
    )
    headers: HeaderFields | None = Field(
        default=None,
        description="Further header fields by name. Those that the service writes itself are refused.",
        examples=[{"X-Campaign": "spring"}],
    )

    def refused_content(self, settings: Settings) -> Iterator[FieldError]:
        """Yield what the fields only show together, or beside the settings."""
        yield from _together(self, settings)
        yield from _template(self)
        yield from _amp(self)
        yield from _headers(self.headers or {})
        if self.in_reply_to is not None or self.references is not None:
            yield from _thread_twice(self.headers or {})

    def thread(self) -> Thread:
        """Return what the message answers."""
        return Thread(self.in_reply_to, tuple(self.references or ()))


def read_attachments(items: list[AttachmentIn]) -> Iterator[Attachment | FieldError]:
    """Yield the domain's values, and why there are none."""
    seen: set[str] = set()
    for number, item in enumerate(items):
        if item.content_id in seen:
            yield FieldError(
                f"/attachments/{number}/content_id",
                "duplicate",
                "another attachment has this content_id",
            )
        seen |= {item.content_id} if item.content_id else set()
        try:
            yield item.to_attachment()
        except Refusal as error:
            yield FieldError(f"/attachments/{number}", "invalid_attachment", error.reason)


def _together(form: ContentForm, settings: Settings) -> Iterator[FieldError]:
    if not (form.to or form.cc or form.bcc):
        yield FieldError("/to", "required", "at least one recipient is needed in to, cc or bcc")
    if form.text is None and form.html is None and form.template is None:
        detail = "give text, html, both, or a template; an empty string is an empty message"
        yield FieldError("/text", "required", detail)
    most = settings.api.max_attachments
    if len(form.attachments or ()) > most:
        yield FieldError("/attachments", "too_many", f"must have at most {most} items")


def _template(form: ContentForm) -> Iterator[FieldError]:
    if form.template is None:
        return
    parts = {"html": form.html, "text": form.text, "amp": form.amp}
    for name in (name for name, part in parts.items() if part is not None):
        yield FieldError(f"/{name}", "excluded", "the template says this: give one of them")


def _amp(form: ContentForm) -> Iterator[FieldError]:
    if form.amp is None or form.template is not None:
        return
    if form.html is None:
        yield FieldError("/html", "required", "amp is shown by few readers: give the others html")
    try:
        check_amp(form.amp)
    except Refusal as error:
        yield FieldError("/amp", "invalid_amp", error.reason)


def _thread_twice(headers: dict[str, str]) -> Iterator[FieldError]:
    for name in headers:
        if name.lower() in {"in-reply-to", "references"}:
            detail = "in_reply_to and references write this header field: leave it out, or them"
            yield FieldError(pointer(("headers", name)), "excluded", detail)


def _headers(headers: dict[str, str]) -> Iterator[FieldError]:
    seen: dict[str, str] = {}
    for name, value in headers.items():
        place = pointer(("headers", name))
        try:
            check_header(name, value)
        except HeaderError as error:
            yield FieldError(place, "invalid_header_field", error.reason)
        if name.lower() in seen and is_structured(name):
            yield FieldError(place, "duplicate", "this header field may stand only once")
        seen[name.lower()] = value
    try:
        check_one_click(seen)
    except HeaderError as error:
        yield FieldError("/headers", "invalid_header_field", error.reason)
