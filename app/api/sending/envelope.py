"""What clients send to `POST /messages/raw`: a finished mail as the body, its envelope and options in the query.

A refused place is named by a JSON pointer here too: the parameters are members of one object (`/rcpt_to/0`),
and beside them stand `header` with the mail's fields by name in lower case (`/header/from`), and `body`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated
from urllib.parse import unquote_to_bytes

from pydantic import Field

from app.api.body import parse_json
from app.api.fields import MAX_LIST, AddressText
from app.api.pointers import pointer
from app.api.sending.options import OptionsForm
from app.api.sending.unsubscribing import missing_one_click
from app.errors import FieldError, InvalidRequest, PillarboxError
from app.letters.drafts import RawDraft
from app.letters.unsubscribe import FIELD, POST_FIELD
from app.mail.finished.faults import MailError
from app.mail.finished.reading import FinishedMail, read_mail
from app.messages import Stream, TlsWish
from app.settings import Settings

_WITH_PLUS = frozenset({"expires_at", "mail_from", "rcpt_to", "report_to"})
_LISTS = frozenset({"rcpt_to", "tags"})
_MAX_DIGITS = 18


class EnvelopeForm(OptionsForm):
    """Who gets a finished mail, who is told of trouble, and how it is carried."""

    rcpt_to: Annotated[list[AddressText], Field(min_length=1, max_length=MAX_LIST)] = Field(
        description="The recipients, whatever the mail's header says; repeat the parameter for each. "
        "A `+` in an address stands for itself.",
        examples=[["ada@example.com"]],
    )
    mail_from: AddressText | None = Field(
        default=None,
        description="The return path of all recipients. Where it is missing, each has one of its own, "
        "or the address in From where there is no domain for them. Never empty.",
    )

    def to_draft(self, raw: bytes, now: datetime, settings: Settings) -> RawDraft:
        """Check the mail, and return the domain's value. Raises InvalidRequest with all faults of both."""
        refused = [*self.refused_envelope(settings), *self.refused_options(now, settings)]
        try:
            mail = read_mail(raw)
        except MailError as error:
            faults = [
                FieldError(pointer(each.place), each.code, each.reason) for each in error.faults
            ]
            raise InvalidRequest((*refused, *faults)) from error
        refused += self._refused_together(mail, settings)
        if refused:
            raise InvalidRequest(tuple(refused))
        return RawDraft(
            mail=mail,
            mail_from=self.mail_from or mail.author,
            rcpt_to=tuple(self.rcpt_to),
            options=self.to_options(now),
            has_own_path=self.mail_from is not None,
        )

    def refused_envelope(self, settings: Settings) -> Iterator[FieldError]:
        """Yield what the envelope shows only beside the settings."""
        most, found = settings.api.max_recipients, len(set(self.rcpt_to))
        if found > most:
            detail = f"{found} recipients; a message may have {most}: send several messages"
            yield FieldError("/rcpt_to", "too_many_recipients", detail)

    def _refused_together(self, mail: FinishedMail, settings: Settings) -> Iterator[FieldError]:
        is_required = self.stream is Stream.BULK and settings.unsubscribe.required_for_bulk
        if is_required and not mail.is_one_click:
            remedy = f"write {FIELD} with one https:// URL, and {POST_FIELD}"
            yield missing_one_click(f"/header/{FIELD.lower()}", remedy)
        if mail.is_tls_optional and self.tls is not TlsWish.OPTIONAL:
            detail = (
                "the mail says TLS-Required: No: set tls to optional too, or leave the field out"
            )
            yield FieldError("/header/tls-required", "excluded", detail)


def read_query(query: bytes) -> dict[str, object]:
    """Return the parameters as a document to be checked. Raises InvalidRequest for what is no document.

    Values are decoded as forms are, with `+` for a space; not so addresses and times, which hold no
    spaces but may hold a plus (RFC 3986 gives it no meaning of its own).
    """
    document: dict[str, object] = {}
    refused: list[FieldError] = []
    for piece in filter(None, query.split(b"&")):
        try:
            _add(document, *_parameter(piece))
        except InvalidRequest as error:
            refused += error.fields
    if refused:
        raise InvalidRequest(tuple(dict.fromkeys(refused)))
    return document


def _parameter(piece: bytes) -> tuple[str, str]:
    name, _, value = piece.partition(b"=")
    try:
        key = unquote_to_bytes(name.replace(b"+", b" ")).decode()
        raw = value if key in _WITH_PLUS else value.replace(b"+", b" ")
        return key, unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        place = pointer([name.decode("ascii", "replace")])
        detail = "is not UTF-8: percent-encode it as UTF-8 (RFC 3986 §2.5)"
        raise InvalidRequest((FieldError(place, "invalid_value", detail),)) from error


def _add(document: dict[str, object], name: str, value: str) -> None:
    known = document.get(name)
    if name in _LISTS:
        document[name] = [*known, value] if isinstance(known, list) else [value]
    elif name in document:
        detail = "stands more than once: give it once"
        raise InvalidRequest((FieldError(pointer([name]), "duplicate", detail),))
    else:
        document[name] = _converted(name, value)


def _converted(name: str, value: str) -> object:
    match name:
        case "expires_in" if value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
            return int(value)
        case "metadata":
            return _metadata(value)
        case "mail_from" if not value:
            detail = "may not be empty: applications have no mail from the null return path; leave it out"
            raise InvalidRequest((FieldError("/mail_from", "invalid_address", detail),))
        case _:
            return value


def _metadata(value: str) -> object:
    try:
        return parse_json(value.encode())
    except PillarboxError as error:
        detail = f"must be a JSON object: {error.detail}"
        raise InvalidRequest((FieldError("/metadata", "invalid_value", detail),)) from error
