"""Header fields (RFC 5322 §2.2, §3.6) that a caller may add to a mail, and what their text may be.

The door in front of `fields`, which writes them: the API asks here field by field, and `content`
asks again for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from app.mail.characters import forbidden
from app.mail.grammars import ONE_CLICK, is_one_click, remedy_for
from app.mail.refusal import Refusal

MAX_NAME = 50
"""Characters of a header name, so that an encoded word always fits beside it."""
MAX_VALUE = 8192
"""Characters of a header value."""
MAX_WORD = 900
"""Characters without a space to fold at; a line has at most 998 (RFC 5322 §2.1.1)."""

_NAME = re.compile(r"[!-9;-~]+")
_MESSAGE_ID = re.compile(r"[!-;=?A-~]+@[!-;=?A-~]+")

_OF_REQUEST = frozenset({"bcc", "cc", "from", "reply-to", "subject", "to"})
_OF_SERVICE = frozenset(
    {
        "apparently-to",
        "authentication-results",
        "date",
        "delivered-to",
        "domainkey-signature",
        "envelope-to",
        "message-id",
        "received",
        "received-spf",
        "return-path",
        "sender",
    }
)
_OF_SERVICE_PREFIXES = ("arc-", "content-", "dkim-", "mime-", "resent-")
# Each has a grammar in which encoded words mean nothing, and may stand only once.
_STRUCTURED = frozenset(
    {
        "auto-submitted",
        "feedback-id",
        "importance",
        "in-reply-to",
        "precedence",
        "priority",
        "references",
    }
)


class HeaderError(Refusal):
    """A header field cannot be sent; `reason` says why and what to do instead."""


def check_header(name: str, value: str) -> None:
    """Raise HeaderError unless a caller may add this header field as it stands."""
    _check_name(name)
    check_text(value)
    if is_structured(name):
        _check_structured(name, value)


def check_headers(headers: Iterable[tuple[str, str]]) -> None:
    """Check each field, and that those of a kind stand once (RFC 5322 §3.6, RFC 2369 §2)."""
    seen: dict[str, str] = {}
    for name, value in headers:
        check_header(name, value)
        if name.lower() in seen and is_structured(name):
            raise HeaderError(f"The header {name} is given twice: give it once.")
        seen[name.lower()] = value
    check_one_click(seen)


def check_one_click(headers: Mapping[str, str]) -> None:
    """Raise HeaderError for List-Unsubscribe-Post without a URL to post to. Names are in lower case."""
    if "list-unsubscribe-post" in headers and not is_one_click(headers.get("list-unsubscribe", "")):
        raise HeaderError(
            "The header List-Unsubscribe-Post needs List-Unsubscribe with exactly one https URL (RFC 8058 §3.1)."
        )


def offers_one_click(headers: Mapping[str, str]) -> bool:
    """Tell whether one POST unsubscribes (RFC 8058 §3.1). Names are in lower case."""
    said = headers.get("list-unsubscribe-post", "").strip(" ").lower()
    return said == ONE_CLICK.lower() and is_one_click(headers.get("list-unsubscribe", ""))


def check_text(value: str) -> None:
    """Raise HeaderError unless `value` may be the text of a header field, such as a subject."""
    if len(value) > MAX_VALUE:
        raise HeaderError(f"The value is longer than {MAX_VALUE} characters: shorten it.")
    if found := forbidden(value):
        raise HeaderError(f"The value holds {found}: remove it.")


def check_message_id(message_id: str) -> None:
    """Raise HeaderError unless `message_id` is id@host without angle brackets (RFC 5322 §3.6.4)."""
    if len(message_id) > MAX_WORD or _MESSAGE_ID.fullmatch(message_id) is None:
        raise HeaderError(
            "A message id has the form id@host: give the Message-ID of a mail, not the id that this API gives it."
        )


def is_structured(name: str) -> bool:
    """Tell whether the field has a grammar, and so is written as it stands or not at all."""
    lower = name.lower()
    return lower in _STRUCTURED or lower.startswith("list-")


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME:
        raise HeaderError(f"The header name is longer than {MAX_NAME} characters: shorten it.")
    if _NAME.fullmatch(name) is None:
        raise HeaderError(
            f"The header name {name!a} may hold only printable ASCII without space and colon."
        )
    lower = name.lower()
    if lower == "tls-required":
        raise HeaderError(
            f"The header {name} comes of the field tls: leave it out, and set that to optional."
        )
    if lower in _OF_REQUEST:
        raise HeaderError(
            f"The header {name} has a field of its own: use {lower.replace('-', '_')}."
        )
    if lower in _OF_SERVICE or lower.startswith(_OF_SERVICE_PREFIXES):
        raise HeaderError(
            f"The header {name} is written on the way and cannot be set: leave it out."
        )


def _check_structured(name: str, value: str) -> None:
    if not value.isascii():
        raise HeaderError(
            f"The header {name} may hold only ASCII: percent-encode the rest in a URL, or leave it out."
        )
    if not value.strip(" "):
        raise HeaderError(f"The header {name} is empty: leave it out.")
    if max(map(len, value.split(" "))) > MAX_WORD:
        raise HeaderError(
            f"The header {name} has more than {MAX_WORD} characters without a space: shorten it."
        )
    if remedy := remedy_for(name, value):
        raise HeaderError(f"The header {name} must hold {remedy}.")
