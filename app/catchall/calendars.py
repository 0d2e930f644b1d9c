"""What an invitation says, for people: the few lines of a calendar (RFC 5545) that its reader would show.

The calendar came by mail and is hostile until shown otherwise: what makes no sense is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

_MAX_ROWS = 100
_FOLD = re.compile(r"\r?\n[ \t]")
_LINE = re.compile(r'([A-Za-z0-9-]+)((?:;[^:"]*(?:"[^"]*"[^:"]*)*)?):(.*)')
_NAME = re.compile(r';CN=(?:"([^"]*)"|([^";:]*))', re.IGNORECASE)
_ANSWER = re.compile(r";PARTSTAT=([A-Z-]+)", re.IGNORECASE)
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")
_ZONE = re.compile(r';TZID="?([^";:]*)', re.IGNORECASE)
_ESCAPE = re.compile(r"\\([\\;,nN])")
_LABELS = {
    "METHOD": "Method",
    "SUMMARY": "What",
    "STATUS": "Status",
    "DTSTART": "Begins",
    "DTEND": "Ends",
    "RRULE": "Repeats",
    "LOCATION": "Where",
    "ORGANIZER": "Organizer",
    "ATTENDEE": "Invited",
    "DESCRIPTION": "Description",
    "UID": "UID",
    "SEQUENCE": "Sequence",
}


def read_calendar(calendar: str) -> tuple[tuple[str, str], ...]:
    """Return labels with what stands behind them, in the order of the calendar."""
    return tuple(islice(_rows(calendar), _MAX_ROWS))


def _rows(calendar: str) -> Iterator[tuple[str, str]]:
    component = ""
    for line in _FOLD.sub("", calendar).splitlines():
        found = _LINE.fullmatch(line)
        name, parameters, value = found.groups() if found else ("", "", "")
        if name.upper() in {"BEGIN", "END"}:
            component = value.upper() if name.upper() == "BEGIN" else ""
        # Time zones have a DTSTART of their own, and alarms a DESCRIPTION.
        elif name.upper() in _LABELS and component not in {"STANDARD", "DAYLIGHT", "VALARM"}:
            yield _LABELS[name.upper()], _shown(name.upper(), parameters, value)


def _shown(name: str, parameters: str, value: str) -> str:
    match name:
        case "DTSTART" | "DTEND":
            return _time(parameters, value)
        case "ORGANIZER" | "ATTENDEE":
            return _person(parameters, value)
        case _:
            return _ESCAPE.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)


def _time(parameters: str, value: str) -> str:
    found = _TIME.fullmatch(value)
    if found is None:
        return value
    year, month, day, hour, minute, second, utc = found.groups()
    if hour is None:
        return f"{year}-{month}-{day}"
    zone = _ZONE.search(parameters)
    where = "UTC" if utc else zone[1] if zone else "wherever you are"
    return f"{year}-{month}-{day} {hour}:{minute}:{second} {where}"


def _person(parameters: str, value: str) -> str:
    found, answer = _NAME.search(parameters), _ANSWER.search(parameters)
    name = (found[1] or found[2]) if found else None
    address = re.sub(r"\A(?i:mailto):", "", value)
    said = f" ({answer[1].lower()})" if answer else ""
    return f"{name} <{address}>{said}" if name else f"{address}{said}"
