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
    WireModel,
    refuse,
)
from app.mail.headers import MAX_VALUE
from app.mail.mime.content import MAX_CONTENT_TYPE, Attachment
from app.mail.mime.filenames import MAX_FILENAME

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
        """Return the domain's value. Raises ContentError or FilenameError."""
        kind = self.content_type or _TYPES.guess_type(self.filename)[0] or _OCTETS
        return Attachment(self.filename, kind, self.content, self.content_id)
