"""Message ids as callers write them: what a mail answers."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Discriminator, Field, PlainValidator, Tag

from app.api.fields import MAX_LIST, line_of, refuse
from app.mail.headers import MAX_WORD
from app.mail.refusal import Refusal
from app.mail.threads import MAX_IDS_TEXT, parse_message_id, parse_message_ids

_EXAMPLE = "<0192f0c1@shop.example>"


def _message_id(value: object) -> str:
    try:
        return parse_message_id(line_of(value))
    except Refusal as error:
        raise refuse("invalid_message_id", error.reason) from error


def _message_ids(value: object) -> list[str]:
    text = line_of(value)
    if len(text) > MAX_IDS_TEXT:
        raise refuse("too_long", f"must have at most {MAX_IDS_TEXT} characters")
    try:
        return list(parse_message_ids(text))
    except Refusal as error:
        raise refuse("invalid_message_id", error.reason) from error


MessageIdText: TypeAlias = Annotated[
    str,
    PlainValidator(
        _message_id, Annotated[str, Field(max_length=MAX_WORD + 2, examples=[_EXAMPLE])]
    ),
]
"""The Message-ID of a mail, with <> or without; becomes the id alone."""


def _form(value: object) -> str | None:
    match value:
        case str():
            return "text"
        case list():
            return "list"
    return None


_Text = Annotated[
    list[str],
    PlainValidator(
        _message_ids, Annotated[str, Field(max_length=MAX_IDS_TEXT, examples=[_EXAMPLE])]
    ),
    Tag("text"),
]
_List = Annotated[list[MessageIdText], Field(max_length=MAX_LIST), Tag("list")]

MessageIds: TypeAlias = Annotated[
    _Text | _List,
    Discriminator(
        _form,
        custom_error_type="wrong_type",
        custom_error_message="must be a string of message ids with spaces between them, or a list of them",
    ),
]
"""Message ids, the oldest first, as a list or as the text of a References field."""
