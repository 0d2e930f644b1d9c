"""Names of domains, as people write them and as the DNS has them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.identity.suffixes import is_public_suffix
from app.mail.address import AddressError, parse_address
from app.mail.refusal import Refusal

MAX_NAME = 190
"""Octets of a domain: longer ones leave no room for the records below it and for addresses (RFC 5321 §4.5.3.1)."""
_REFUSED = {
    re.compile(pattern): reason
    for pattern, reason in (
        (r"@", "is an address: write its domain alone, what stands after the @"),
        (
            r"\A(?:\[.*\]|[0-9.]+|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\Z",
            "is an IP address: mail comes from names, so write a domain",
        ),
        (r"[/:]", "is a URL: write the domain alone, such as example.com"),
        (r"\*", "holds a wildcard: a verified domain covers all names below it anyway"),
        (r"_", "holds an underscore, which no domain of an address may have"),
        (r"\A[^.]*\Z", "has one label only: write the whole domain, such as example.com"),
    )
}
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)


class NameRefused(Refusal):
    """The name cannot be a sending domain; `reason` says why, and what to write instead."""


def sending_domain(text: str) -> str:
    """Return the name in lower-case A-labels (RFC 5890 §2.3.2.1). Raises NameRefused."""
    name = text.strip(" ").removesuffix(".")
    for pattern, reason in _REFUSED.items():
        if pattern.search(name):
            raise NameRefused(reason)
    encoded = _encoded(name)
    if len(encoded) > MAX_NAME:
        raise NameRefused(f"is longer than {MAX_NAME} characters in the DNS: use a shorter domain")
    if is_public_suffix(encoded):
        raise NameRefused(
            "is a suffix under which anybody registers names: write the domain that you registered"
        )
    return encoded


def return_path_name(text: str, domain: str) -> str:
    """Return the name of the return path: `text` is one label, or a name below `domain`. Raises NameRefused."""
    name = text.strip(" ").lower().removesuffix(".")
    if _LABEL.fullmatch(name):
        return f"{name}.{domain}"
    whole = sending_domain(name)
    if not whole.endswith(f".{domain}"):
        raise NameRefused(
            f"is not below {domain}: write a label, such as bounces, or a name such as bounces.{domain}; "
            "receivers want both to belong together (RFC 7489 §3.1.2)"
        )
    return whole


def with_parents(name: str) -> Iterator[str]:
    """Yield a domain and those above it, but for the top label."""
    while "." in name:
        yield name
        name = name.partition(".")[2]


def _encoded(name: str) -> str:
    try:
        return parse_address(f"x@{name}").domain
    except AddressError as error:
        raise NameRefused(
            "is no domain name that can be registered: write it as it is, such as example.com, "
            "in Unicode or in A-labels (xn--…)"
        ) from error
