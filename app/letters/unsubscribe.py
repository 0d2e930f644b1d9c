"""How recipients end what they get, in header fields that mail programs make a button of (RFC 2369, RFC 8058).

The one-click form is a POST to the only HTTPS URL of List-Unsubscribe. It counts for receivers where a DKIM
signature covers both fields (RFC 8058 §4), which `dkim` sees to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.mail.address import parse_address
from app.mail.grammars import ONE_CLICK
from app.mail.refusal import Refusal

FIELD, POST_FIELD = "List-Unsubscribe", "List-Unsubscribe-Post"
MAX_URI = 800
"""Characters of a URL: it stands in one line of the header, which has at most 998."""

_CHARACTERS = r"(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_URL = re.compile(
    rf"https://(?:{_LABEL}\.)+[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?(?::[0-9]{{1,5}})?"
    rf"(?:[/?]{_CHARACTERS})?"
)
_MAILTO = re.compile(rf"mailto:([^?]+)(\?{_CHARACTERS})?", re.IGNORECASE)
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")
# RFC 6068 §2 lets these stand for themselves in an address.
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$'*+@")


class UnsubscribeError(Refusal):
    """No URL that a mail program can use; `reason` says why and what to write instead."""


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Where to unsubscribe: a one-click URL, a `mailto:` URL, or both; "" for none.

    `is_hosted` asks for a URL that is made here, for each recipient another one.
    """

    url: str = ""
    mailto: str = ""
    is_hosted: bool = False

    @property
    def is_one_click(self) -> bool:
        """Tell whether one POST is enough, as receivers ask of mail to many."""
        return bool(self.url) or self.is_hosted

    def fields(self, hosted_url: str = "") -> tuple[tuple[str, str], ...]:
        """Return the header fields. An HTTPS URL comes first: readers take the first one that they know."""
        url = self.url or hosted_url
        field = (FIELD, ", ".join(f"<{uri}>" for uri in (url, self.mailto) if uri))
        return (field, (POST_FIELD, ONE_CLICK)) if url else (field,)


def check_url(url: str) -> None:
    """Raise UnsubscribeError unless `url` can be posted to by one click (RFC 8058 §3.1)."""
    if len(url) > MAX_URI:
        raise UnsubscribeError(f"The URL is longer than {MAX_URI} characters: shorten it.")
    if _URL.fullmatch(url) is None:
        raise UnsubscribeError(
            "One-click needs an https:// URL with a host name, without user and fragment, "
            "and with everything else percent-encoded."
        )


def read_mailto(text: str) -> str:
    """Return an address, or a `mailto:` URL with one, as a `mailto:` URL (RFC 6068).

    Raises UnsubscribeError or AddressError.
    """
    if len(text) > MAX_URI:
        raise UnsubscribeError(f"The URL is longer than {MAX_URI} characters: shorten it.")
    if not text.lower().startswith("mailto:"):
        return f"mailto:{_encoded(str(parse_address(text)))}"
    found = _MAILTO.fullmatch(text)
    if found is None:
        raise UnsubscribeError(
            "Write an address, or mailto:name@domain?subject=… with the rest percent-encoded."
        )
    return f"mailto:{_encoded(str(parse_address(_decoded(found[1]))))}{found[2] or ''}"


def _encoded(address: str) -> str:
    return "".join(chr(octet) if octet in _PLAIN else f"%{octet:02X}" for octet in address.encode())


def _decoded(text: str) -> str:
    octets = _ENCODED.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode())
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise UnsubscribeError("The address is not UTF-8: percent-encode it as UTF-8.") from error
