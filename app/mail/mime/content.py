"""Content: all of a mail that a reader will see, checked, before it becomes bytes.

`app.letters.writer` builds one from a draft and hands it to `compose`. There is no Bcc here, so there can be
none in the bytes. A value that exists can be composed: what could not be sent is refused when it is
made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from app.mail.address import Mailbox
from app.mail.characters import is_encodable
from app.mail.headers import check_headers, check_message_id, check_text
from app.mail.mime.filenames import check_filename
from app.mail.mime.invitation import Invitation
from app.mail.mime.transfer import SharedBody
from app.mail.refusal import Refusal

MAX_CONTENT_TYPE = 255
"""Characters of a media type with its parameters."""

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+"
_PARAMETER = rf' ?; ?{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*")'
_MEDIA_TYPE = re.compile(rf"({_TOKEN})/{_TOKEN}((?:{_PARAMETER})*)")
_NAME_PARAMETER = re.compile(r"; ?name[*=]", re.IGNORECASE)
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,255}")
# Their bodies have parts or headers of their own, and must not be base64 (RFC 2046 §5).
_COMPOSITE = frozenset({"message", "multipart"})
# AMP readers look for exactly this before they look at anything else. Nothing is looked at twice: comments
# without end, or many of them, would otherwise hold up everybody.
_AMP = re.compile(
    r"\s*+(?:<!--(?>.*?-->)\s*+)*+<!doctype\s++html\s*+>\s*+"
    r"<html\s(?:[^>]{0,2000}\s)?(?:⚡\ufe0f?4email|amp4email)[\s=>]",
    re.IGNORECASE | re.DOTALL,
)


class ContentError(Refusal):
    """A part of the content cannot be sent; `reason` says why and what to do instead."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file; where the HTML names its content id (without <>) it is shown there.

    A `message/rfc822` is a mail that is passed on. A file that goes along with several mails brings its content
    `encoded` once for all. Raises ContentError or FilenameError.
    """

    filename: str
    content_type: str
    content: bytes = field(repr=False)
    content_id: str | None = None
    encoded: SharedBody | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_filename(self.filename)
        _check_content_type(self.content_type)
        if self.content_id is not None and _CONTENT_ID.fullmatch(self.content_id) is None:
            raise ContentError(
                "The content id must be 1 to 255 printable ASCII characters, no space, < or >."
            )


@dataclass(frozen=True, slots=True)
class Content:
    """All that becomes bytes; `message_id` is without <>. Raises ContentError or HeaderError.

    `amp` is shown instead of `html` by readers that know AMP, and never stands without it.
    `is_tls_optional` asks each server on the way to deliver rather than insist on TLS (RFC 8689 §3).
    """

    sender: Mailbox
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    reply_to: tuple[Mailbox, ...]
    subject: str
    text: str | None = field(repr=False)
    html: str | None = field(repr=False)
    attachments: tuple[Attachment, ...]
    headers: tuple[tuple[str, str], ...]
    date: datetime
    message_id: str
    is_tls_optional: bool = False
    amp: str | None = field(default=None, repr=False)
    invitation: Invitation | None = None

    def __post_init__(self) -> None:
        check_text(self.subject)
        check_headers(self.headers)
        check_message_id(self.message_id)
        if self.date.tzinfo is None:
            raise ContentError("The date must know its time zone.")
        for text in (self.text, self.html):
            if text is not None and not is_encodable(text):
                raise ContentError("The text holds a lone surrogate: send well-formed Unicode.")
        if self.amp is not None:
            check_amp(self.amp)
            if self.html is None:
                raise ContentError("AMP is shown by few readers: give the others html too.")
        inline = [attachment.content_id for attachment in self.attachments if attachment.content_id]
        if len(set(inline)) < len(inline):
            raise ContentError("Two attachments have the same content id: give each its own.")


def check_amp(text: str) -> None:
    """Raise ContentError unless `text` starts as AMP readers demand."""
    if not is_encodable(text):
        raise ContentError("The AMP holds a lone surrogate: send well-formed Unicode.")
    if _AMP.match(text) is None:
        raise ContentError(
            "AMP must start with <!doctype html><html ⚡4email>, or amp4email instead of ⚡4email: "
            "else every reader shows the html."
        )


def _check_content_type(content_type: str) -> None:
    media_type = (
        None if len(content_type) > MAX_CONTENT_TYPE else _MEDIA_TYPE.fullmatch(content_type)
    )
    if media_type is None:
        raise ContentError(
            "The content type must have the form type/subtype, such as application/pdf."
        )
    if media_type.group(1).lower() in _COMPOSITE and content_type.lower() != "message/rfc822":
        raise ContentError(
            "Of the types message and multipart only message/rfc822 is sent: use application/octet-stream."
        )
    if _NAME_PARAMETER.search(media_type.group(2)):
        raise ContentError("The content type names the file: give its name as file name instead.")
