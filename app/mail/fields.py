"""Header fields as lines: encoding (RFC 2047), folding (RFC 5322 §2.2.3), dates.

Each function writes one field of the mail that `compose` builds, as text that ends with CRLF. It is
ASCII but for local parts of addresses that are not, which no encoded word may stand for (RFC 2047
§5 (3), RFC 6532 §3.2). Values are checked again for line ends here, since whatever slipped through
would become a header of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from app.mail.address import Mailbox
from app.mail.headers import MAX_WORD, check_text, is_structured
from app.mail.words import encode_words

# Characters of lines with encoded words (RFC 2047 §2); others might have 78 (RFC 6532 §3.4).
_MAX_LINE = 76
_MAX_QUOTED = 62

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PHRASE = re.compile(rf"{_ATOM}(?: {_ATOM})*")
_PRINTABLE = re.compile(r"[ -~]*")
_TOKEN = re.compile(r" *[^ ]+")
_QUOTED_PAIR = re.compile(r'(["\\])')
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def text_field(name: str, value: str) -> str:
    """Write an unstructured field; whoever decodes it gets `value` back, every space of it."""
    check_text(value)
    if is_structured(name) or _is_plain(value):
        return _fold(name, _TOKEN.findall(f" {value.strip(' ')}"))
    return _fold(name, [f" {word}" for word in encode_words(value, _first_room(name))])


def mailbox_field(name: str, mailboxes: Iterable[Mailbox]) -> str:
    """Write an address list; names become atoms, quoted strings or encoded words."""
    tokens: list[str] = []
    for mailbox in mailboxes:
        tokens += _mailbox_tokens(mailbox, _first_room(name))
        tokens[-1] += ","
    tokens[-1] = tokens[-1][:-1]
    return _fold(name, tokens)


def date_field(date: datetime) -> str:
    """Write Date in UTC (RFC 5322 §3.3), its names in no locale. `date` must know its zone."""
    utc = date.astimezone(UTC)
    day, month = _DAYS[utc.weekday()], _MONTHS[utc.month - 1]
    return f"Date: {day}, {utc.day:02} {month} {utc.year:04} {utc:%H:%M:%S} +0000\r\n"


def _is_plain(value: str) -> bool:
    """Tell whether folding is all that `value` needs, and no reader takes it for encoded words."""
    if _PRINTABLE.fullmatch(value) is None or "=?" in value or value != value.strip(" "):
        return False
    return len(value) <= MAX_WORD or max(map(len, _TOKEN.findall(value))) <= MAX_WORD


def _mailbox_tokens(mailbox: Mailbox, first_room: int) -> Sequence[str]:
    name, address = mailbox.name, str(mailbox.address)
    check_text(address)
    if not name:
        return [f" {address}"]
    return [*_name_tokens(name, first_room), f" <{address}>"]


def _name_tokens(name: str, first_room: int) -> list[str]:
    check_text(name)
    quoted = ' "{}"'.format(_QUOTED_PAIR.sub(r"\\\1", name))
    if len(quoted) > _MAX_QUOTED or "=?" in name or _PRINTABLE.fullmatch(name) is None:
        return [f" {word}" for word in encode_words(name, first_room)]
    if _PHRASE.fullmatch(name):
        return [f" {atom}" for atom in name.split(" ")]
    return [quoted]


def _first_room(name: str) -> int:
    return _MAX_LINE - len(name) - len(": ")


def _fold(name: str, tokens: Sequence[str]) -> str:
    """Join tokens, each with its leading spaces; lines break before any but the first of them."""
    line = f"{name}:"
    size = sum(map(len, tokens))
    if len(line) + size <= _MAX_LINE:
        return f"{line}{''.join(tokens)}\r\n"
    lines: list[str] = []
    line += tokens[0]
    for token in tokens[1:]:
        if len(line) + len(token) > _MAX_LINE:
            lines.append(line)
            line = ""
        line += token
    return "\r\n".join([*lines, line, ""])
