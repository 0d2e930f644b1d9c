"""The kinds of fields that requests are made of: what each takes, and what it becomes.

Each refuses with a stable code and a sentence that says what to do. Everything that could end a line of
a mail's header is refused here, before anything else looks at it.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, LiteralString, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
)
from pydantic_core import PydanticCustomError

from app.mail.address import (
    MAX_ADDRESS,
    MAX_MAILBOX,
    Address,
    AddressError,
    Mailbox,
    parse_address,
    parse_mailbox,
)
from app.mail.characters import forbidden, is_encodable

MAX_LINE = 998
"""Characters of a subject (RFC 5322 §2.1.1 limits a line to as many)."""
MAX_LIST = 1_000
"""Entries of a list of addresses or attachments, whatever the settings allow."""

_DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_MAILBOX_FORMS = (
    'must be a string such as "Ada <ada@example.com>", or an object with `address` and `name`'
)


# Characters that are decoded at a time: the C code holds up every other thread meanwhile.
_BASE64_PIECE = 1024 * 1024


class WireModel(BaseModel):
    """A JSON object of a request: types are not converted, unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def refuse(code: LiteralString, sentence: str) -> PydanticCustomError:
    """Return the error that says why a field is not accepted; `app.api.pointers` passes it on."""
    return PydanticCustomError(code, "{sentence}", {"sentence": sentence})


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise refuse("wrong_type", "must be a string")
    return _well_formed(value)


def _well_formed(value: str) -> str:
    if not is_encodable(value):
        raise refuse("lone_surrogate", "holds half of a surrogate pair: send well-formed Unicode")
    return value


def _line(value: str) -> str:
    if found := forbidden(_well_formed(value)):
        raise refuse("control_character", f"holds {found}: remove it")
    return value


def line_of(value: object) -> str:
    """Return a string that may stand in one line, for fields that read their text themselves."""
    return _line(_string(value))


def _prose(value: str) -> str:
    if "\0" in _well_formed(value):
        raise refuse("control_character", "holds the control character U+0000: remove it")
    return value


def _word(value: str) -> str:
    if _WORD.fullmatch(value) is None:
        raise refuse("invalid_value", "may hold only A-Z, a-z, 0-9, _ and -")
    return value


def _address(value: object) -> Address:
    try:
        return parse_address(line_of(value))
    except AddressError as error:
        raise refuse("invalid_address", error.reason) from error


def _mailbox(value: object) -> Mailbox:
    try:
        return parse_mailbox(line_of(value))
    except AddressError as error:
        raise refuse("invalid_address", error.reason) from error


def _moment(value: object) -> datetime:
    text = _string(value)
    try:
        if _DATE_TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper())
    except ValueError:
        pass  # a date that no calendar has
    raise refuse(
        "invalid_time", "must be a time with a zone, such as 2030-01-31T09:30:00Z (RFC 3339)"
    )


def _no_base64() -> PydanticCustomError:
    return refuse(
        "invalid_base64",
        "must be standard base64 with padding, without line breaks or a data: prefix",
    )


def _decoded(value: object) -> bytes:
    """Decode base64; what comes out is smaller than the body, whose size was checked before."""
    text = _string(value)
    try:
        if len(text) <= _BASE64_PIECE:
            octets = binascii.a2b_base64(text, strict_mode=True)
        else:
            octets = b"".join(_decoded_pieces(text))
    except ValueError as error:
        raise _no_base64() from error
    # The decoder lets surplus padding pass, and a piece may end with padding that is not the end.
    if len(text) % 4 or len(octets) != len(text) // 4 * 3 - text[-2:].count("="):
        raise _no_base64()
    return octets


def _decoded_pieces(text: str) -> Iterator[bytes]:
    for start in range(0, len(text), _BASE64_PIECE):
        yield binascii.a2b_base64(text[start : start + _BASE64_PIECE], strict_mode=True)


IS_LINE = AfterValidator(_line)
"""For text that ends up in one line: no control characters. Stands after the limit of length."""
IS_WORD = AfterValidator(_word)
"""For names for machines."""
WORD_PATTERN = f"^{_WORD.pattern}$"

IS_PROSE = AfterValidator(_prose)
"""For text of many lines: no NUL. Stands after the limit of length."""
Prose: TypeAlias = Annotated[str, IS_PROSE]
"""Text of many lines: no NUL."""

Moment: TypeAlias = Annotated[
    datetime,
    PlainValidator(_moment, Annotated[str, Field(json_schema_extra={"format": "date-time"})]),
]
"""A time with a zone (RFC 3339)."""

Base64: TypeAlias = Annotated[
    bytes,
    PlainValidator(
        _decoded, Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]
    ),
]
"""Bytes, sent as base64."""

AddressText: TypeAlias = Annotated[
    Address,
    PlainValidator(
        _address, Annotated[str, Field(max_length=MAX_ADDRESS, examples=["ada@example.com"])]
    ),
]
"""An address alone."""

MailboxText: TypeAlias = Annotated[
    Mailbox,
    PlainValidator(
        _mailbox, Annotated[str, Field(max_length=MAX_MAILBOX, examples=["Ada <ada@example.com>"])]
    ),
]
"""An address, with a display name or without."""


class AddressObject(WireModel):
    """An address and a display name, apart."""

    address: AddressText = Field(description="The address, without name and angle brackets.")
    name: Annotated[str, Field(max_length=MAX_MAILBOX), IS_LINE] | None = Field(
        default=None, description="The display name."
    )

    @property
    def mailbox(self) -> Mailbox:
        """The same as one value."""
        return Mailbox(self.name or "", self.address)


def _form(value: object) -> str | None:
    match value:
        case str() | Mailbox():
            return "text"
        case dict() | AddressObject():
            return "object"
        case list():
            return "list"
    return None


_Text = Annotated[MailboxText, Tag("text")]
_Object = Annotated[AddressObject, Tag("object")]

OneMailbox: TypeAlias = Annotated[
    _Text | _Object,
    Discriminator(
        _form,
        custom_error_type="wrong_type",
        custom_error_message=_MAILBOX_FORMS,
    ),
]
"""One mailbox, in either form."""

_List = Annotated[list[OneMailbox], Field(max_length=MAX_LIST), Tag("list")]

ManyMailboxes: TypeAlias = Annotated[
    _Text | _Object | _List,
    Discriminator(
        _form,
        custom_error_type="wrong_type",
        custom_error_message=f"{_MAILBOX_FORMS}, or a list of these",
    ),
]
"""One mailbox or a list."""


def one(value: Mailbox | AddressObject) -> Mailbox:
    """Return a mailbox of either form as the domain's value."""
    return value if isinstance(value, Mailbox) else value.mailbox


def many(
    value: Mailbox | AddressObject | list[Mailbox | AddressObject] | None,
) -> tuple[Mailbox, ...]:
    """Return one mailbox or a list as the domain's values; null is none."""
    if value is None:
        return ()
    return tuple(map(one, value)) if isinstance(value, list) else (one(value),)
