"""Invitations: a calendar (RFC 5545) that a mail carries, to be answered inside the mail program (RFC 6047).

The API reads one from a request, and `compose` sends it twice: as the last alternative of the text, from
which Outlook and Apple Mail show buttons to accept and decline, and as an attached file, which Gmail and
plain readers want. Content is checked only for what makes every reader give up on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from app.mail.characters import is_encodable
from app.mail.mime.filenames import check_filename
from app.mail.refusal import Refusal

MAX_LINES = 20_000
"""Lines of a calendar; an event has some tens."""
_FOLD = re.compile(r"\n[ \t]")
# RFC 5545 §3.1: of the control characters, only tab and line ends may occur.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# A colon in quotation marks belongs to a parameter (§3.2). Nothing is looked at twice.
_LINE = re.compile(r'([A-Za-z0-9-]++)(?:;(?>[^":]++|"[^"]*+"|")*+)?+:(.*)', re.DOTALL)


class InvitationError(Refusal):
    """No reader would understand this calendar; `reason` says why and what to do instead."""


class Method(StrEnum):
    """What the reader is asked to do with the calendar (RFC 5546 §1.4)."""

    PUBLISH = "PUBLISH"
    """Add it; no answer is wanted."""
    REQUEST = "REQUEST"
    """Accept or decline it; a changed one replaces the one before."""
    REPLY = "REPLY"
    """Take notice that an invited person accepts or declines."""
    ADD = "ADD"
    """Add further occurrences to an event."""
    CANCEL = "CANCEL"
    """Remove it: it does not take place."""
    REFRESH = "REFRESH"
    """Send the newest version of it."""
    COUNTER = "COUNTER"
    """Look at another proposal for it."""
    DECLINECOUNTER = "DECLINECOUNTER"
    """Take notice that the other proposal is declined."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A calendar with what is asked by it. Raises InvitationError or FilenameError."""

    content: str = field(repr=False)
    method: Method
    filename: str = "invite.ics"

    def __post_init__(self) -> None:
        check_filename(self.filename)
        if read_method(self.content) is not self.method:
            raise InvitationError(
                f"METHOD in the calendar is not {self.method}: they must be the same (RFC 6047 §2.4)."
            )


def read_method(content: str) -> Method:
    """Return the METHOD of a calendar. Raises InvitationError unless it is one whole iCalendar object."""
    if not is_encodable(content):
        raise InvitationError("The calendar holds a lone surrogate: send well-formed Unicode.")
    if found := _CONTROLS.search(content):
        raise InvitationError(
            f"The calendar holds the control character U+{ord(found.group()):04X}: remove it."
        )
    if len(content.splitlines()) > MAX_LINES:
        raise InvitationError(
            f"The calendar has more than {MAX_LINES} lines: attach it as a file instead."
        )
    properties = dict[str, list[str]]()
    for name, value in _properties(content):
        properties.setdefault(name, []).append(value)
    for name, remedy in (("VERSION", "VERSION:2.0"), ("PRODID", "PRODID:-//shop.example//EN")):
        if len(properties.get(name, [])) != 1:
            raise InvitationError(
                f"The calendar must have {name} once, beside its components: add {remedy} (RFC 5545 §3.6)."
            )
    return _known_method(properties.get("METHOD", []))


def _known_method(values: list[str]) -> Method:
    if len(values) != 1:
        raise InvitationError(
            "The calendar must have METHOD once, beside its components: add METHOD:REQUEST to invite, "
            "METHOD:CANCEL to call off, or METHOD:PUBLISH to inform (RFC 5546 §1.4)."
        )
    try:
        return Method(values[0].strip().upper())
    except ValueError as error:
        raise InvitationError(
            f"METHOD in the calendar is {values[0][:40]!a}: use one of {', '.join(Method)}."
        ) from error


def _properties(content: str) -> Iterator[tuple[str, str]]:
    """Yield the properties of the calendar itself; all else stands in its components (RFC 5545 §3.6)."""
    lines = list(_nested(_lines(content)))
    outermost = [(line.name, line.value.upper()) for line in lines if line.depth == 0]
    if outermost == [("BEGIN", "VCALENDAR")]:
        raise InvitationError("The calendar is cut off: it must end with END:VCALENDAR.")
    if outermost != [("BEGIN", "VCALENDAR"), ("END", "VCALENDAR")]:
        raise InvitationError(
            "The calendar must be one object from BEGIN:VCALENDAR to END:VCALENDAR, and nothing around it."
        )
    inner = [line for line in lines if line.depth == 1]
    if not any(line.name == "BEGIN" for line in inner):
        raise InvitationError("The calendar is empty: it needs a component such as VEVENT.")
    yield from ((line.name, line.value) for line in inner)


@dataclass(frozen=True, slots=True)
class _Line:
    """A content line; the lines of a component are one deeper than its BEGIN and END."""

    depth: int
    name: str
    value: str


def _nested(lines: Iterable[tuple[str, str]]) -> Iterator[_Line]:
    names: list[str] = []
    for name, value in lines:
        if name == "END" and (not names or names.pop() != value.upper()):
            raise InvitationError(f"END:{ascii(value[:40])[1:-1]} ends nothing that was begun.")
        yield _Line(len(names), name, value)
        if name == "BEGIN":
            names.append(value.upper())


def _lines(content: str) -> Iterator[tuple[str, str]]:
    """Yield the unfolded content lines (RFC 5545 §3.1), their names in capitals."""
    text = _FOLD.sub("", content.replace("\r\n", "\n").replace("\r", "\n"))
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise InvitationError(
                f"Line {number} of the calendar, {line[:40]!a}, is no content line such as NAME:value."
            )
        yield found[1].upper(), found[2]
