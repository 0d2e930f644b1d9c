"""How recipients unsubscribe: the part of a request that receivers of mail to many ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, TypeAlias

from pydantic import Field, PlainValidator

from app.api.fields import WireModel, line_of, refuse
from app.api.pointers import pointer
from app.errors import FieldError
from app.letters.unsubscribe import (
    FIELD,
    MAX_URI,
    POST_FIELD,
    Unsubscribe,
    UnsubscribeError,
    check_url,
    read_mailto,
)
from app.mail.address import AddressError
from app.mail.headers import offers_one_click
from app.messages import Stream
from app.settings import Settings

_PLACE = "/list_unsubscribe"
_OWN_FIELDS = frozenset({FIELD.lower(), POST_FIELD.lower()})


def _url(value: object) -> str:
    url = line_of(value)
    try:
        check_url(url)
    except UnsubscribeError as error:
        raise refuse("invalid_url", error.reason) from error
    return url


def _mailto(value: object) -> str:
    try:
        return read_mailto(line_of(value))
    except UnsubscribeError as error:
        raise refuse("invalid_url", error.reason) from error
    except AddressError as error:
        raise refuse("invalid_address", error.reason) from error


_Url: TypeAlias = Annotated[
    str,
    PlainValidator(
        _url, Annotated[str, Field(max_length=MAX_URI, json_schema_extra={"format": "uri"})]
    ),
]
_Mailto: TypeAlias = Annotated[
    str, PlainValidator(_mailto, Annotated[str, Field(max_length=MAX_URI)])
]


class UnsubscribeIn(WireModel):
    """Where recipients unsubscribe: `url` or `hosted` (one click), `mailto`, or one of those with it."""

    url: _Url | None = Field(
        default=None,
        description="Your own `https://` URL. A POST of `List-Unsubscribe=One-Click` to it must be enough, "
        "without redirect or cookie, and it must say who the recipient is (RFC 8058).",
        examples=["https://shop.example/unsubscribe/8f14e45f"],
    )
    hosted: bool | None = Field(
        default=None,
        description="Let Pillarbox do it: each recipient gets a URL of its own, and who uses it is suppressed for "
        "this stream and told of by `message.unsubscribed`.",
    )
    mailto: _Mailto | None = Field(
        default=None,
        description="An address, or a `mailto:` URL, for programs that know no other way. What arrives there is "
        "yours to read.",
        examples=["leave@shop.example"],
    )

    def to_unsubscribe(self) -> Unsubscribe:
        """Return the domain's value."""
        return Unsubscribe(self.url or "", self.mailto or "", is_hosted=bool(self.hosted))


class UnsubscribeForm(WireModel):
    """The field itself."""

    list_unsubscribe: UnsubscribeIn | None = Field(
        default=None,
        description="How recipients unsubscribe, in the header fields List-Unsubscribe and List-Unsubscribe-Post. "
        "Mail of the stream `bulk` needs `url` or `hosted`, unless the operator allows otherwise.",
        examples=[{"hosted": True}],
    )

    def unsubscribe(self) -> Unsubscribe | None:
        """Return the domain's value, None where nothing is offered."""
        return self.list_unsubscribe.to_unsubscribe() if self.list_unsubscribe else None


def refused_unsubscribe(
    wanted: UnsubscribeIn | None, headers: dict[str, str], settings: Settings
) -> Iterator[FieldError]:
    """Yield what the field only shows beside `headers` and the settings."""
    if wanted is None:
        return
    for name in headers:
        if name.lower() in _OWN_FIELDS:
            detail = "list_unsubscribe writes this header field: leave it out, or list_unsubscribe"
            yield FieldError(pointer(("headers", name)), "excluded", detail)
    if not (wanted.url or wanted.hosted or wanted.mailto):
        yield FieldError(_PLACE, "required", "give url, or hosted as true, or mailto")
    if wanted.url and wanted.hosted:
        yield FieldError(f"{_PLACE}/url", "excluded", "give either url or hosted")
    if wanted.hosted and settings.unsubscribe.base_url is None:
        detail = (
            "links cannot be made here until the operator sets PILLARBOX_UNSUBSCRIBE__BASE_URL: "
            "give a url of yours"
        )
        yield FieldError(f"{_PLACE}/hosted", "not_configured", detail)


def refused_without_one_click(
    stream: Stream | None, wanted: UnsubscribeIn | None, headers: dict[str, str], settings: Settings
) -> Iterator[FieldError]:
    """Yield that mail to many offers no one-click, which Gmail and Yahoo would refuse or call spam."""
    said = {name.lower(): value for name, value in headers.items()}
    is_offered = offers_one_click(said) or (wanted and wanted.to_unsubscribe().is_one_click)
    if stream is Stream.BULK and not is_offered and settings.unsubscribe.required_for_bulk:
        yield missing_one_click(_PLACE, 'give list_unsubscribe {"hosted": true}, or a url of yours')


def missing_one_click(place: str, remedy: str) -> FieldError:
    """Return what is said of mail to many without one-click; `remedy` tells what would offer it."""
    detail = (
        f"mail of the stream bulk needs one-click unsubscription (RFC 8058): {remedy}; "
        "the operator can allow it without by PILLARBOX_UNSUBSCRIBE__REQUIRED_FOR_BULK=false"
    )
    return FieldError(place, "missing_list_unsubscribe", detail)
