"""What a message is made of as callers write it: its attachments, header fields, labels and data."""

from __future__ import annotations

from mimetypes import MimeTypes
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

from app.api.fields import (
    IS_LINE,
    IS_WORD,
    WORD_PATTERN,
    Base64,
    Prose,
    WireModel,
    refuse,
)
from app.errors import FieldError
from app.mail.headers import MAX_VALUE
from app.mail.mime.content import MAX_CONTENT_TYPE, Attachment
from app.mail.mime.filenames import MAX_FILENAME, FilenameError, check_filename
from app.mail.mime.invitation import Invitation, InvitationError, Method, read_method

_OCTETS = "application/octet-stream"
# Without files of the machine, so that every machine guesses alike.
_TYPES = MimeTypes(filenames=())
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


_FileName: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAX_FILENAME), IS_LINE]


class AttachmentIn(WireModel):
    """A file that goes along with a message."""

    filename: _FileName = Field(
        description="The name that the reader sees. `/` and `\\` become `_`, dots and spaces at its end go.",
        examples=["invoice.pdf"],
    )
    content: Base64 = Field(description="The bytes in standard base64, with padding.")
    content_type: Annotated[str, Field(max_length=MAX_CONTENT_TYPE), IS_LINE] | None = Field(
        default=None,
        description="The media type; guessed from the file name where it is missing. A mail that is passed on "
        "is `message/rfc822`, and goes as `application/octet-stream` where it is not 7-bit.",
        examples=["application/pdf"],
    )
    content_id: Annotated[str, Field(min_length=1, max_length=255), IS_LINE] | None = Field(
        default=None,
        description='Makes the file inline where `html` names it, as in `<img src="cid:logo@shop.example">`.',
        examples=["logo@shop.example"],
    )

    def to_attachment(self) -> Attachment:
        """Return the domain's value. Raises ContentError or FilenameError."""
        kind = self.content_type or _TYPES.guess_type(self.filename)[0] or _OCTETS
        return Attachment(self.filename, kind, self.content, self.content_id)


class CalendarIn(WireModel):
    """An invitation: a calendar that readers answer inside their mail program."""

    content: Prose = Field(
        description="One iCalendar object (RFC 5545) with `METHOD`, from `BEGIN:VCALENDAR` to `END:VCALENDAR`.",
        examples=[
            "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//shop.example//EN\nMETHOD:REQUEST\nBEGIN:VEVENT\n"
            "UID:1815@shop.example\nDTSTAMP:20300131T093000Z\nDTSTART:20300201T090000Z\nSUMMARY:Delivery\n"
            "ORGANIZER:mailto:hello@shop.example\nATTENDEE;RSVP=TRUE:mailto:ada@example.com\n"
            "END:VEVENT\nEND:VCALENDAR\n"
        ],
    )
    method: Annotated[Method, Field(strict=False)] | None = Field(
        default=None,
        description="What is asked for; the same as `METHOD` in the calendar, which it is read from where it is "
        "missing.",
    )
    filename: _FileName | None = Field(
        default=None,
        description="The name of the file that goes along for readers without a calendar.",
        examples=["invite.ics"],
    )

    def read(self) -> Invitation | FieldError:
        """Return the domain's value, or why there is none."""
        filename = self.filename or "invite.ics"
        try:
            check_filename(filename)
            method = read_method(self.content)
        except FilenameError as error:
            return FieldError("/calendar/filename", "invalid_calendar", error.reason)
        except InvitationError as error:
            return FieldError("/calendar/content", "invalid_calendar", error.reason)
        if self.method not in {None, method}:
            detail = (
                f"METHOD in the calendar is {method}, and they must be the same: leave this out"
            )
            return FieldError("/calendar/method", "invalid_calendar", detail)
        return Invitation(self.content, method, filename)
