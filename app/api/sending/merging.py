"""Data for each recipient: the part of a request that makes one message many mails."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from app.api.fields import MAX_LIST, ManyMailboxes, WireModel, many
from app.api.pointers import pointer
from app.errors import FieldError, InvalidRequest
from app.letters.drafts import OwnData
from app.letters.values import Variables, pack
from app.mail.address import Address, AddressError, parse_address

_FIELD = "recipients_data"
_MAX_BYTES = 5_000_000

_Values = dict[str, object]


class MergeForm(WireModel):
    """Variables for all, and for each."""

    variables: _Values | None = Field(
        default=None,
        description="Values by name for all recipients. With these, or with `recipients_data`, `subject`, `text`, "
        "`html` and `amp` are templates: `{{ name }}` stands for a value. Without both, braces are text.",
        examples=[{"day": "Friday"}],
    )
    recipients_data: Annotated[dict[str, _Values], Field(max_length=MAX_LIST)] | None = Field(
        default=None,
        description="Values by name for each recipient in `to`, by its address: they stand over `variables`. "
        "Each recipient gets a mail of its own, in which no other is named; those without data of their own get "
        "one with `variables` alone. Not with `cc` or `bcc`. At most 5 MB together.",
        examples=[{"ada@example.com": {"name": "Ada"}, "bob@example.net": {"name": "Bob"}}],
    )


def read_recipients_data(
    form: MergeForm, to: ManyMailboxes | None, others: Mapping[str, ManyMailboxes | None]
) -> Iterator[tuple[str, OwnData] | FieldError]:
    """Yield the data of each recipient beside its address, and why there is none."""
    if form.recipients_data is None:
        return
    yield from (_others(name) for name, boxes in others.items() if many(boxes))
    left = {str(box.address) for box in many(to)}
    told, total = set(left), 0
    for key, values in form.recipients_data.items():
        try:
            address, data = str(_recipient(key, told)), OwnData(key, _packed(key, values))
        except InvalidRequest as error:
            yield from error.fields
            continue
        total += len(data.variables)
        if address not in left:
            yield _refused(key, "duplicate", "the same address stands there in another form")
        left.discard(address)
        yield address, data
    if total > _MAX_BYTES:
        detail = f"has {total} bytes; {_MAX_BYTES} are allowed: send to fewer recipients at a time"
        yield FieldError(f"/{_FIELD}", "too_long", detail)


def by_address(found: Iterable[tuple[str, OwnData] | FieldError]) -> dict[str, OwnData]:
    """Return the data of each recipient by its address."""
    return dict(item for item in found if isinstance(item, tuple))


def _others(name: str) -> FieldError:
    detail = "every recipient gets a mail of its own and sees no other: name all of them in to"
    return FieldError(f"/{name}", "excluded", detail)


def _refused(key: str, code: str, detail: str) -> FieldError:
    return FieldError(pointer((_FIELD, key)), code, detail)


def _recipient(key: str, known: Collection[str]) -> Address:
    try:
        address = parse_address(key)
    except AddressError as error:
        raise InvalidRequest((_refused(key, "invalid_address", error.reason),)) from error
    if str(address) not in known:
        detail = "is no recipient in to: add it there, or leave its data away"
        raise InvalidRequest((_refused(key, "unknown_recipient", detail),))
    return address


def _packed(key: str, values: _Values) -> Variables:
    try:
        return pack(values)
    except InvalidRequest as error:
        place = pointer((_FIELD, key))
        raise InvalidRequest(
            tuple(
                replace(each, pointer=place + each.pointer.removeprefix("/variables"))
                for each in error.fields
            )
        ) from error
