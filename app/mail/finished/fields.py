"""Header fields of a finished mail: where each begins and ends, by the grammar of RFC 5322 §2.2 and no looser one.

What a lenient reader might take for a field, or for the end of the header, is refused: then nobody can
read a Bcc or a second From that we did not see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from app.mail.finished.faults import Fault, MailError
from app.mail.finished.lines import MAX_LINE

MAX_HEADER_BYTES = 256 * 1024
"""Octets of a whole header."""
MAX_FIELDS = 1_000
"""Fields of a header."""

_NAME = re.compile(rb"([!-9;-~]+):")
_SPACED_NAME = re.compile(rb"[!-9;-~]+[ \t]+:")
# All of C0 but TAB, and DEL; CR and LF are gone by then.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class HeaderField:
    """One field as it stands, folded or not; `octets` are without the CRLF that ends it."""

    name: str
    octets: bytes

    @property
    def key(self) -> str:
        """The name in lower case, by which fields are told apart (RFC 5322 §1.2.2)."""
        return self.name.lower()

    @property
    def value(self) -> str:
        """The value, unfolded (RFC 5322 §2.2.3), without the white space around it."""
        return self.octets[len(self.name) + 1 :].replace(b"\r\n", b"").decode().strip(" \t")


def split_fields(head: bytes) -> tuple[HeaderField, ...]:
    """Return the fields of `head`, whose lines are separated by CRLF. Raises MailError for the first bad line."""
    fields: list[tuple[str, list[bytes]]] = []
    for number, line in enumerate(head.split(b"\r\n"), 1):
        _check_line(number, line)
        if line[0] in b" \t" and fields:
            fields[-1][1].append(line)
            continue
        fields.append((_name(number, line), [line]))
        if len(fields) > MAX_FIELDS:
            _refuse("too_many", f"The header has more than {MAX_FIELDS} fields: leave some out.")
    return tuple(HeaderField(name, b"\r\n".join(lines)) for name, lines in fields)


def _check_line(number: int, line: bytes) -> None:
    for code, reason in _troubles(line):
        _refuse(code, f"Line {number} {reason}")


def _troubles(line: bytes) -> Iterator[tuple[str, str]]:
    if len(line) > MAX_LINE:
        yield "too_long", f"has more than {MAX_LINE} octets: fold it (RFC 5322 §2.2.3)."
    if found := _CONTROL.search(line):
        code = found.group()[0]
        yield "control_character", f"holds the control character U+{code:04X}: remove it."
    if not line.strip(b" \t"):
        yield (
            "invalid_header_field",
            "is blank but not empty: some readers end the header there (RFC 5322 §3.2.2); remove it.",
        )
    try:
        line.decode()
    except UnicodeDecodeError:
        yield (
            "invalid_header_field",
            "is neither ASCII nor UTF-8 (RFC 6532 §3.2): write it in encoded words (RFC 2047).",
        )


def _name(number: int, line: bytes) -> str:
    found = _NAME.match(line)
    if found is None:
        what = "is no header field"
        if _SPACED_NAME.match(line):
            what = "has a space before the colon"
        elif line.startswith(b"From "):
            what = "is the first line of an mbox file, and no header field"
        _refuse("invalid_header_field", f"Line {number} {what}: write Name: value (RFC 5322 §2.2).")
    return found.group(1).decode("ascii")


def _refuse(code: str, reason: str) -> NoReturn:
    raise MailError([Fault(("header",), code, reason)])
