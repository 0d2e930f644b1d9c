"""Exports of suppressions: lines of NDJSON or CSV, written as they are read and never held all."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from types import MappingProxyType

from app.api.answers.suppressions import SuppressionOut
from app.projects.suppressions import Entry

COLUMNS = ("address", "stream", "reason", "since", "message_id", "note")
"""The columns of a CSV, and the names of NDJSON."""
_ENTRIES_AT_ONCE = 200


class Form(StrEnum):
    """How lines are written."""

    NDJSON = "ndjson"
    """A JSON object in each line."""
    CSV = "csv"
    """Cells with commas between, named by the first line (RFC 4180)."""


MEDIA_TYPES: Mapping[Form, str] = MappingProxyType(
    {Form.NDJSON: "application/x-ndjson", Form.CSV: "text/csv"}
)
"""The media type of each form."""

# A cell that a spreadsheet would run as a formula gets an apostrophe in front, and so do those that look as if
# they had one already: so it can be taken off again. An address may begin with any of these.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_DEFUSED = re.compile(r"'+[=+\-@\t\r]")


def without_apostrophe(cell: str) -> str:
    """Return a cell of a CSV as it was before it was exported."""
    return cell[1:] if _DEFUSED.match(cell) else cell


def _with_apostrophe(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


async def export_lines(entries: AsyncIterator[Entry], form: Form) -> AsyncIterator[bytes]:
    """Yield the lines of all entries, many at a time."""
    lines: list[bytes] = [_csv(COLUMNS)] if form is Form.CSV else []
    async for entry in entries:
        lines.append(_line(entry, form))
        if len(lines) >= _ENTRIES_AT_ONCE:
            yield b"".join(lines)
            lines.clear()
    yield b"".join(lines)


def _line(entry: Entry, form: Form) -> bytes:
    shown = SuppressionOut.of(entry)
    if form is Form.NDJSON:
        return f"{shown.model_dump_json()}\n".encode()
    values = shown.model_dump(mode="json")
    return _csv(tuple(_with_apostrophe(values[name] or "") for name in COLUMNS))


def _csv(cells: tuple[str, ...]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()
