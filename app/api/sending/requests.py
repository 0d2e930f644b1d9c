"""What clients send: the bodies of requests, and the way from each to the domain's values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from mimetypes import MimeTypes
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field

from app.api.fields import (
    IS_LINE,
    IS_WORD,
    MAX_LINE,
    MAX_LIST,
    WORD_PATTERN,
    AddressText,
    Base64,
    ManyMailboxes,
    Moment,
    OneMailbox,
    Prose,
    WireModel,
    many,
    one,
    refuse,
)
from app.api.pointers import pointer
from app.errors import FieldError, InvalidRequest
from app.events import EventType
from app.mail.headers import MAX_VALUE, HeaderError, check_header, is_structured
from app.mail.mime.content import MAX_CONTENT_TYPE, MAX_FILENAME, Attachment, ContentError
from app.messages import Draft, OnUnknown, Stream, TlsWish
from app.projects.urls import MAX_URL
from app.settings import Settings

_OCTETS = "application/octet-stream"
# Without files of the machine, so that every machine guesses alike.
_TYPES = MimeTypes(filenames=())
_YEAR_S = 366 * 24 * 3600
_MAX_METADATA_BYTES = 4096


_Tag = Annotated[
    str,
    Field(min_length=1, max_length=100, json_schema_extra={"pattern": WORD_PATTERN}),
    IS_WORD,
]
Tags: TypeAlias = Annotated[list[_Tag], Field(max_length=10)]
"""Labels for machines."""

_Name = Annotated[str, Field(min_length=1, max_length=40), IS_LINE]


def _bounded(metadata: dict[str, str]) -> dict[str, str]:
    """Refuse what is too much for events: each recipient has several, and each endpoint gets a copy."""
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > _MAX_METADATA_BYTES:
        raise refuse(
            "too_long", f"has {size} bytes of names and values; {_MAX_METADATA_BYTES} are allowed"
        )
    return metadata


Metadata: TypeAlias = Annotated[
    dict[_Name, Annotated[str, Field(max_length=500), IS_LINE]],
    Field(max_length=50),
    AfterValidator(_bounded),
]
"""The sender's own data."""

_HeaderValue = Annotated[str, Field(max_length=MAX_VALUE), IS_LINE]
HeaderFields: TypeAlias = Annotated[
    dict[Annotated[str, IS_LINE], _HeaderValue], Field(max_length=100)
]
"""Header fields of the mail, by name."""


class AttachmentIn(WireModel):
    """A file that goes along with a message."""

    filename: Annotated[str, Field(min_length=1, max_length=MAX_FILENAME), IS_LINE] = Field(
        description="The name that the reader sees.", examples=["invoice.pdf"]
    )
    content: Base64 = Field(description="The bytes in standard base64, with padding.")
    content_type: Annotated[str, Field(max_length=MAX_CONTENT_TYPE), IS_LINE] | None = Field(
        default=None,
        description="The media type; guessed from the file name where it is missing.",
        examples=["application/pdf"],
    )
    content_id: Annotated[str, Field(min_length=1, max_length=255), IS_LINE] | None = Field(
        default=None,
        description='Makes the file inline: HTML shows it as `<img src="cid:…">`.',
        examples=["logo"],
    )

    def to_attachment(self) -> Attachment:
        """Return the domain's value. Raises ContentError."""
        kind = self.content_type or _TYPES.guess_type(self.filename)[0] or _OCTETS
        return Attachment(self.filename, kind, self.content, self.content_id)


class MessageRequest(WireModel):
    """A message to send, to at least one recipient in `to`, `cc` or `bcc`, with `text`, `html` or both."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "Pillarbox <hello@shop.example>",
                    "to": "Ada Lovelace <ada@example.com>",
                    "subject": "Your order has shipped",
                    "text": "It will be with you on Friday.",
                    "html": "<p>It will be with you on <b>Friday</b>.</p>",
                    "tags": ["shipping"],
                    "metadata": {"order": "1815"},
                }
            ]
        }
    )

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
    attachments: Annotated[list[AttachmentIn], Field(max_length=MAX_LIST)] | None = Field(
        default=None, description="Files that go along."
    )
    headers: HeaderFields | None = Field(
        default=None,
        description="Further header fields by name. Those that the service writes itself are refused.",
        examples=[{"X-Campaign": "spring"}],
    )
    tags: Tags | None = Field(default=None, description="Labels; events carry them.")
    metadata: Metadata | None = Field(
        default=None,
        description="Your own data, at most 4 KB together; events carry it, mails do not.",
    )
    stream: Annotated[Stream, Field(strict=False)] | None = Field(
        default=None,
        description="`transactional` (where it is missing) for mail that one person waits for, `bulk` for mail "
        "to many: it never holds the other up.",
    )
    on_unknown: Annotated[OnUnknown, Field(strict=False)] | None = Field(
        default=None,
        description="What to do when a message was sent but the receiver's answer was lost: `retry` (where it "
        "is missing) sends it again, and a second copy may arrive; `hold` ends it as `unknown`.",
    )
    tls: Annotated[TlsWish, Field(strict=False)] | None = Field(
        default=None,
        description="How safe the way has to be. `opportunistic` (where it is missing): as safe as the receiver "
        "asks for by DANE or MTA-STS. `verified`: only to hosts with a valid certificate. `require`: only to such "
        "hosts that promise to pass it on like this (REQUIRETLS, RFC 8689). `optional`: rather arrive than be "
        "safe (`TLS-Required: No`).",
    )
    report_to: AddressText | None = Field(
        default=None,
        description="Address that gets a delivery report (RFC 3464) by mail when a recipient fails, and once when "
        "some are late (still under way after four hours, or what the operator set). "
        "It learns of recipients in `bcc` only if it is no other "
        "recipient's address.",
    )
    expires_in: Annotated[int, Field(ge=1, le=_YEAR_S)] | None = Field(
        default=None, description="Seconds after which delivery is given up. Not with `expires_at`."
    )
    expires_at: Moment | None = Field(
        default=None, description="When delivery is given up. Not with `expires_in`."
    )

    def to_draft(self, now: datetime, settings: Settings) -> Draft:
        """Return the domain's value. Raises InvalidRequest for what fields only show together."""
        attachments = list(_attachments(self.attachments or []))
        refused = [item for item in attachments if isinstance(item, FieldError)]
        refused += [
            *_together(self, settings),
            *_headers(self.headers or {}),
            *_expiry(self, now, settings),
        ]
        if refused:
            raise InvalidRequest(tuple(refused))
        return Draft(
            sender=one(self.sender),
            to=many(self.to),
            cc=many(self.cc),
            bcc=many(self.bcc),
            reply_to=many(self.reply_to),
            subject=self.subject or "",
            text=self.text,
            html=self.html,
            attachments=tuple(item for item in attachments if isinstance(item, Attachment)),
            headers=tuple((self.headers or {}).items()),
            tags=tuple(self.tags or ()),
            metadata=self.metadata or {},
            stream=self.stream or Stream.TRANSACTIONAL,
            on_unknown=self.on_unknown or OnUnknown.RETRY,
            tls=self.tls or TlsWish.OPPORTUNISTIC,
            report_to=self.report_to,
            expires_at=_expires_at(self, now),
        )


class EndpointRequest(WireModel):
    """A URL that shall be told of events."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "url": "https://shop.example/hooks/mail",
                    "events": ["message.delivered", "message.bounced"],
                    "description": "order mails",
                }
            ]
        }
    )

    url: Annotated[str, Field(max_length=MAX_URL), IS_LINE] = Field(
        description="An `https` URL on port 443 or 8443 of a host that is public."
    )
    events: Annotated[list[Annotated[EventType, Field(strict=False)]], Field(max_length=100)] = (
        Field(default_factory=list, description="The event types wanted; all where it is empty.")
    )
    description: Annotated[str, Field(max_length=200), IS_LINE] = Field(
        default="", description="For people."
    )


def _together(request: MessageRequest, settings: Settings) -> Iterator[FieldError]:
    if not (request.to or request.cc or request.bcc):
        yield FieldError("/to", "required", "at least one recipient is needed in to, cc or bcc")
    if request.text is None and request.html is None:
        yield FieldError(
            "/text", "required", "give text, html or both; an empty string is an empty message"
        )
    most = settings.api.max_attachments
    if len(request.attachments or ()) > most:
        yield FieldError("/attachments", "too_many", f"must have at most {most} items")


def _attachments(items: list[AttachmentIn]) -> Iterator[Attachment | FieldError]:
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
        except ContentError as error:
            yield FieldError(f"/attachments/{number}", "invalid_attachment", error.reason)


def _headers(headers: dict[str, str]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for name, value in headers.items():
        place = pointer(("headers", name))
        try:
            check_header(name, value)
        except HeaderError as error:
            yield FieldError(place, "invalid_header_field", error.reason)
        if name.lower() in seen and is_structured(name):
            yield FieldError(place, "duplicate", "this header field may stand only once")
        seen.add(name.lower())


def _expiry(request: MessageRequest, now: datetime, settings: Settings) -> Iterator[FieldError]:
    if request.expires_in is not None and request.expires_at is not None:
        yield FieldError("/expires_at", "excluded", "give either expires_in or expires_at")
    longest = settings.delivery.max_expires_after
    if (request.expires_in or 0) > longest.total_seconds():
        seconds = round(longest.total_seconds())
        yield FieldError("/expires_in", "out_of_range", f"must be at most {seconds} seconds")
    if request.expires_at is not None and not now < request.expires_at <= now + longest:
        detail = f"must lie in the future, at most {longest.days} days ahead"
        yield FieldError("/expires_at", "out_of_range", detail)


def _expires_at(request: MessageRequest, now: datetime) -> datetime | None:
    if request.expires_in is not None:
        return now + timedelta(seconds=request.expires_in)
    return request.expires_at
