"""Reading a finished mail: from a caller's bytes to a value that can be sent, or to all that is wrong with them.

Nothing is decoded and written again, so that what was signed, counted or encoded inside stays as it was. The
parts of the body are not looked into.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.mail.address import MAX_MAILBOX, Address, AddressError, parse_address
from app.mail.characters import blanked
from app.mail.finished.faults import Fault, MailError
from app.mail.finished.fields import MAX_HEADER_BYTES, HeaderField, split_fields
from app.mail.finished.lines import MAX_LINE, canonical, long_line
from app.mail.headers import HeaderError, check_message_id, is_structured, offers_one_click
from app.mail.words import decode_words

MAX_SUBJECT = 998
"""Characters of the subject that is kept for lists; the mail keeps all of it."""
MAX_RECEIVED = 100
"""A mail that went through as many hosts is in a loop (RFC 5321 §6.3)."""

# Atomic, so that one CRLF is never taken for two line ends.
_END_OF_HEADER = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
_PHRASE = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^"()<>\[\]:;@\\,])*')
_BETWEEN_ADDRESSES = re.compile(r'[\s<>,;:"()\[\]]+')

# Bcc is for the envelope alone; the delivering host writes Return-Path (RFC 5321 §4.4).
_DROPPED = frozenset({"bcc", "resent-bcc", "return-path"})
# RFC 5322 §3.6, RFC 2045 §3, RFC 8689 §3; those of RFC 2369 and others are known as structured.
_SINGLE = frozenset(
    {
        "cc",
        "content-description",
        "content-disposition",
        "content-id",
        "content-transfer-encoding",
        "content-type",
        "date",
        "from",
        "message-id",
        "mime-version",
        "reply-to",
        "sender",
        "subject",
        "tls-required",
        "to",
    }
)


@dataclass(frozen=True, slots=True)
class FinishedMail:
    """A mail that may be sent. All lines end with CRLF; `head` is without the empty line after it.

    `author` is the only address of From, `submitter` that of Sender; `to` and `cc` are the addresses that
    these fields name, as `str(Address)`; `names` are the names of all fields, in lower case. There is no Bcc.
    """

    author: Address
    submitter: Address | None
    subject: str
    to: frozenset[str]
    cc: frozenset[str]
    names: frozenset[str]
    is_tls_optional: bool
    is_one_click: bool
    head: bytes = field(repr=False)
    body: bytes = field(repr=False)


def read_mail(raw: bytes) -> FinishedMail:
    """Check a mail and take away what only its sender may know. Raises MailError with all faults that it has."""
    head, body = _parted(raw)
    # Twice or not: Bcc stands in no copy, so it need not be read either.
    kept = [each for each in split_fields(head) if each.key not in _DROPPED]
    body = canonical(body)
    faults = [*_misused(kept), *_unfit(body)]
    author, submitter = _only(kept, "from", faults), _only(kept, "sender", faults)
    if author is None or faults:
        raise MailError(faults)
    return FinishedMail(
        author=author,
        submitter=submitter,
        subject=blanked(decode_words(_value(kept, "subject")))[:MAX_SUBJECT],
        to=_addresses(_value(kept, "to")),
        cc=_addresses(_value(kept, "cc")),
        names=frozenset(each.key for each in kept),
        is_tls_optional=_value(kept, "tls-required").lower() == "no",
        is_one_click=offers_one_click({each.key: each.value for each in kept}),
        head=b"".join([each.octets + b"\r\n" for each in kept]),
        body=body if body.endswith(b"\r\n") or not body else body + b"\r\n",
    )


def _parted(raw: bytes) -> tuple[bytes, bytes]:
    if not raw or raw[0] in b"\r\n":
        reason = "The mail does not begin with a header: write From and the other fields first."
        raise MailError([Fault(("header",), "required", reason)])
    # As far as it reaches that begins where a header may end at the latest: a part of it means something else.
    end = _END_OF_HEADER.search(raw, 0, MAX_HEADER_BYTES + len(b"\r\n\r\n"))
    if len(raw) > MAX_HEADER_BYTES and (end is None or end.start() > MAX_HEADER_BYTES):
        reason = f"The header has more than {MAX_HEADER_BYTES} octets: shorten it."
        raise MailError([Fault(("header",), "too_long", reason)])
    if end is None:
        return canonical(raw.rstrip(b"\r\n")), b""
    if end.group() == b"\r\r\n":
        reason = (
            r"A line of the header ends with \r\r\n, which is the end of the header to some readers: "
            r"write \r\n or \n."
        )
        raise MailError([Fault(("header",), "invalid_header_field", reason)])
    return canonical(raw[: end.start()]), raw[end.end() :]


def _misused(fields: Sequence[HeaderField]) -> Iterator[Fault]:
    """Yield what the fields only show together, and those whose form matters to every receiver."""
    counts = Counter(each.key for each in fields)
    for name, count in counts.items():
        if count > 1 and (name in _SINGLE or is_structured(name)):
            reason = f"The header {name} stands {count} times: leave one (RFC 5322 §3.6)."
            yield Fault(("header", name), "duplicate", reason)
    if counts["received"] >= MAX_RECEIVED:
        reason = f"The mail went through {counts['received']} hosts and is in a loop: stop it."
        yield Fault(("header", "received"), "too_many", reason)
    if "message-id" in counts:
        yield from _bad_message_id(_value(fields, "message-id"))


def _bad_message_id(value: str) -> Iterator[Fault]:
    try:
        if not value.startswith("<") or not value.endswith(">"):
            raise HeaderError("The header Message-ID must have the form <id@host>.")
        check_message_id(value[1:-1])
    except HeaderError:
        reason = "The header Message-ID must have the form <id@host>; leave it out to get one."
        yield Fault(("header", "message-id"), "invalid_header_field", reason)


def _unfit(body: bytes) -> Iterator[Fault]:
    if b"\0" in body:
        reason = "The body holds the control character U+0000: encode it in base64."
        yield Fault(("body",), "control_character", reason)
    if number := long_line(body):
        reason = (
            f"Line {number} of the body has more than {MAX_LINE} octets: "
            "encode that part in quoted-printable or base64."
        )
        yield Fault(("body",), "too_long", reason)


def _only(fields: Sequence[HeaderField], name: str, faults: list[Fault]) -> Address | None:
    """Return the address of a field that has exactly one; add to `faults` where it has not (RFC 5322 §3.6.2)."""
    values = [each.value for each in fields if each.key == name]
    if not values:
        if name == "from":
            faults.append(
                Fault(("header", name), "required", "The header From is missing: add it.")
            )
        return None
    try:
        return _author(values[0])
    except AddressError as error:
        faults.append(Fault(("header", name), "invalid_address", error.reason))
        return None


def _author(value: str) -> Address:
    """Read one mailbox, whose name may have several words. Raises AddressError."""
    if len(value) > MAX_MAILBOX:
        raise AddressError(f"The field is longer than {MAX_MAILBOX} characters: shorten the name.")
    if not value.endswith(">"):
        return parse_address(value)
    phrase, _, address = value[:-1].rpartition("<")
    if _PHRASE.fullmatch(phrase) is None:
        raise AddressError(
            "The field must hold exactly one mailbox, as in Name <name@domain>, without comments or groups; "
            "a name with special characters stands in quotation marks."
        )
    return parse_address(address)


def _value(fields: Sequence[HeaderField], name: str) -> str:
    """Return the value of the field; "" where there is none."""
    return next((each.value for each in fields if each.key == name), "")


def _addresses(value: str) -> frozenset[str]:
    """Return what looks like an address to anybody who reads this field."""
    words = (word for word in _BETWEEN_ADDRESSES.split(value) if "@" in word)
    return frozenset(found for word in words if (found := _address(word)))


def _address(word: str) -> str | None:
    try:
        return str(parse_address(word))
    except AddressError:
        return None
