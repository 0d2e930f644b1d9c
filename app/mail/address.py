"""Addresses: what a caller may write where a mailbox is wanted, parsed strictly and once.

The first thing that happens to a request's `from`, `to`, `cc`, `bcc` and `reply_to`. What comes out
is used everywhere: the domain that was checked is the domain that is looked up and written in RCPT
TO. Forms of RFC 5322 that two parsers may read differently (comments, groups, routes, quoted local
parts, domain literals) are refused, not interpreted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn
from unicodedata import bidirectional

import idna

from app.mail.characters import forbidden
from app.mail.localpart import flaw, is_invisible, normalized
from app.mail.refusal import Refusal

MAX_LOCAL = 64
"""Octets of a local part (RFC 5321 §4.5.3.1.1)."""
MAX_ADDRESS = 254
"""Octets of an address: a path has 256 with its angle brackets (RFC 5321 §4.5.3.1.3)."""
MAX_MAILBOX = 998
"""Characters of a display name with its address."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# A top label starts with a letter: what ends in a number is an IP address to many a library.
_TOP = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_TOP}")
# The common case, but for the lengths. Possessive, so that nothing is looked at twice.
_ATOM = r"[A-Za-z0-9!#$&'*+/=?^_`{|}~-]++"
_WORDS = r"[A-Za-z0-9]*+(?:-++[A-Za-z0-9]++)*+"
_PLAIN = re.compile(rf"({_ATOM}(?:\.{_ATOM})*+)@((?:(?=[A-Za-z0-9]){_WORDS}\.)++[A-Za-z]{_WORDS})")
_MAX_LABEL = 63
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_QUOTED_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_PHRASE_SPECIALS = frozenset('()<>[]:;@\\,"')

_ONE_ADDRESS = "holds more than one address: give each address as an item of its own"
_REFUSED = {
    "<": "holds angle brackets where only the address is wanted: write name@domain",
    ">": "holds angle brackets where only the address is wanted: write name@domain",
    "(": "holds a comment in parentheses: leave the comment out",
    ")": "holds a comment in parentheses: leave the comment out",
    '"': "quotes its local part, which is not accepted: write it without quotation marks",
    "\\": "holds a backslash: leave it out",
    "[": "names an IP address in brackets instead of a domain: use the domain name",
    "]": "names an IP address in brackets instead of a domain: use the domain name",
    ",": _ONE_ADDRESS,
    ";": "is a group, which is not accepted: give each address as an item of its own",
    ":": "is a group or a route, which is not accepted: write name@domain",
    "%": "routes through another host with a percent sign: address the mailbox at its own domain",
}


class AddressError(Refusal):
    """No mailbox that mail can be sent to; `reason` says why and what to write instead."""


@dataclass(frozen=True, slots=True)
class Address:
    """An addr-spec: the local part as it was given, in NFC; the domain as lower-case A-labels."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name ("" if none) and an address. Raises AddressError for a name with controls."""

    name: str
    address: Address

    def __post_init__(self) -> None:
        if len(self.name) > MAX_MAILBOX:
            raise AddressError(
                f"The display name is longer than {MAX_MAILBOX} characters: shorten it."
            )
        if found := forbidden(self.name):
            raise AddressError(f"The display name holds {found}: remove it.")


def parse_address(text: str) -> Address:
    """Parse an addr-spec (RFC 5321 §4.1.2, RFC 6531 §3.3, dot-string only) in linear time.

    The domain may be written in Unicode or in A-labels (RFC 5891 §5.4); it comes out in the latter,
    in headers too. A local part beyond ASCII comes out in NFC, and needs SMTPUTF8. Raises AddressError.
    """
    if len(text) > MAX_ADDRESS:
        raise AddressError(
            f"The address is longer than {MAX_ADDRESS} characters, which SMTP does not carry."
        )
    plain = _PLAIN.fullmatch(text)
    if plain is None:
        return _parse_unusual(text)
    local, domain = plain.groups()
    domain = domain.lower()
    if len(local) > MAX_LOCAL or len(domain) > _MAX_LABEL or "xn--" in domain:
        return _parse_unusual(text)
    return Address(local, domain)


def parse_mailbox(text: str) -> Mailbox:
    """Parse `a@b.example`, `Name <a@b.example>` or `"Name, Inc." <a@b.example>`.

    White space around it is dropped. A name with special characters has to be quoted, as in
    RFC 5322 §3.2.3, but for the dot. Raises AddressError.
    """
    if len(text) > MAX_MAILBOX:
        raise AddressError(
            f"The mailbox is longer than {MAX_MAILBOX} characters: shorten the display name."
        )
    text = text.strip(" \t")
    if "<" not in text:
        return Mailbox("", parse_address(text))
    if not text.endswith(">"):
        raise AddressError("Text follows the address in angle brackets: write Name <name@domain>.")
    name, _, address = text[:-1].rpartition("<")
    return Mailbox(_parse_name(name.strip(" \t")), parse_address(address))


def _parse_name(name: str) -> str:
    if name.startswith('"'):
        quoted = _QUOTED_NAME.fullmatch(name)
        if quoted is None:
            raise AddressError('The quoted display name is malformed: write "Name" <name@domain>.')
        return _ESCAPED.sub(r"\1", quoted.group(1))
    if found := _PHRASE_SPECIALS.intersection(name):
        raise AddressError(
            f"The display name holds {' '.join(sorted(found))} outside quotation marks: "
            'write "Name" <name@domain>.'
        )
    return name


def _parse_unusual(text: str) -> Address:
    """Parse what the fast path does not know: other domains, and all that is refused."""
    _refuse_characters(text)
    if text.count("@") != 1:
        _refuse(text, _ONE_ADDRESS if "@" in text else "has no @: write name@domain")
    local, _, domain = text.partition("@")
    address = Address(_to_local(text, local), _to_ascii(text, domain))
    if len(str(address).encode()) > MAX_ADDRESS:
        _refuse(text, f"is longer than {MAX_ADDRESS} octets once its domain is encoded for DNS")
    return address


def _refuse_characters(text: str) -> None:
    if found := forbidden(text):
        _refuse(text, f"holds {found}: remove it")
    # Before white space: without the space behind it a comma is no better.
    for character, reason in _REFUSED.items():
        if character in text:
            _refuse(text, reason)
    if any(map(str.isspace, text)):
        _refuse(text, "holds white space: remove it")
    if is_invisible(text):
        _refuse(text, "holds an invisible character: remove it")


def _to_local(text: str, given: str) -> str:
    """Return the local part in NFC, checked. Its limit counts octets of UTF-8 (RFC 6532 §3.4)."""
    if not given:
        _refuse(text, "has nothing before the @: write name@domain")
    if "" in given.split("."):
        _refuse(text, "has a dot at the start, at the end or beside another dot before the @")
    local = normalized(given)
    if len(local.encode()) > MAX_LOCAL:
        _refuse(text, f"has more than {MAX_LOCAL} octets before the @")
    if not given.isascii() and (reason := flaw(given)):
        _refuse(text, reason)
    return local


def _to_ascii(text: str, domain: str) -> str:
    """Return the lower-case A-labels of `domain`, which is a host name of several labels."""
    if not domain.strip("."):
        _refuse(text, "has no domain: write name@domain")
    encoded = _encoded(text, domain)
    if "." not in encoded:
        _refuse(text, "has a domain of one label: use the full domain name, such as example.com")
    if _DOMAIN.fullmatch(encoded) is None:
        _refuse(
            text, "has a domain that is no host name: use the full domain name, such as example.com"
        )
    return encoded


def _encoded(text: str, domain: str) -> str:
    """Map as UTS 46 does, without its transitional processing, and encode by IDNA 2008.

    A-labels are decoded and encoded again, so that none stands for what could not be registered.
    """
    plain = domain.lower()
    if "xn--" not in plain and _DOMAIN.fullmatch(plain):
        return plain
    try:
        mapped = idna.uts46_remap(domain, std3_rules=True)
        # The rules of some scripts look at all of a label for each character of it.
        if max(map(len, mapped.split("."))) > _MAX_LABEL:
            _refuse(
                text, f"has more than {_MAX_LABEL} characters between two dots: shorten its domain"
            )
        encoded = idna.encode(mapped).decode("ascii")
        _check_directions(idna.decode(encoded))
        return encoded
    except UnicodeError as error:
        reason = f"has a domain that cannot be registered ({error}): write it as it is registered"
        raise AddressError(f"{text!a} {reason}.") from error


def _check_directions(shown: str) -> None:
    """Check all labels where one runs from right to left (RFC 5893 §2). Raises UnicodeError."""
    if any(bidirectional(character) in _RIGHT_TO_LEFT for character in shown):
        for label in filter(None, shown.split(".")):
            idna.check_bidi(label, check_ltr=True)


def _refuse(text: str, reason: str) -> NoReturn:
    # The address goes into logs and JSON: escaped, so that no character of it can act there.
    raise AddressError(f"{text!a} {reason}.")
