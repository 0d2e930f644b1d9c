"""Imports of suppressions: lines of NDJSON or CSV, read as they come and never held all.

A bad line is refused by its number, and the others go on. What `exports` writes can be imported as it is.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from app.api.answers.suppressions import ImportOut, RefusedLine
from app.api.body import parse_json
from app.api.pointers import field_errors
from app.api.problems import MalformedJson, UnsupportedMediaType
from app.api.resources.exports import COLUMNS, MEDIA_TYPES, Form, without_apostrophe
from app.api.resources.forms import SuppressionLine
from app.errors import FieldError, InvalidRequest, PillarboxError, TooLarge
from app.messages import Stream
from app.projects.suppressions import Added, Entry

MOST_LINES = 100_000
"""Lines of one import."""
_MOST_LINE_BYTES = 4_096
_MOST_ERRORS = 1_000
_LINES_AT_ONCE = 200
"""Lines between two looks at the rest of the world: a few milliseconds of work."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Add = Callable[[Sequence[Entry]], Awaitable[Sequence[Added]]]
"""Puts entries on their lists."""


def form_of(content_type: str) -> Form:
    """Return the form that a Content-Type names. Raises UnsupportedMediaType."""
    media_type, _, parameters = content_type.lower().replace('"', "").partition(";")
    is_utf8 = parameters.strip() in {"", "charset=utf-8"}
    for form, name in MEDIA_TYPES.items():
        if media_type.strip() == name and is_utf8:
            return form
    names = " or ".join(f"`Content-Type: {name}`" for name in MEDIA_TYPES.values())
    raise UnsupportedMediaType(f"send the header {names}, with the lines in UTF-8")


class LineReader:
    """Turns lines into entries; `streams` are those of a line that names none."""

    def __init__(self, form: Form, streams: Sequence[Stream], now: datetime) -> None:
        """Read lines of `form`; `now` is when entries begin that do not say since when."""
        self._form = form
        self._streams = streams
        self._now = now
        self._columns: tuple[str, ...] = ()

    def entries(self, line: bytes) -> tuple[Entry, ...] | None:
        """Return what a line adds, None for an empty line or the head of a CSV.

        Raises InvalidRequest, MalformedJson or TooLarge for a line that cannot be imported.
        """
        if len(line) > _MOST_LINE_BYTES:
            raise TooLarge(f"the line has more than {_MOST_LINE_BYTES} bytes")
        line = line.removeprefix(_BYTE_ORDER_MARK).strip()
        document = self._document(line) if line else None
        if document is None:
            return None
        try:
            found = SuppressionLine.model_validate(document)
        except ValidationError as error:
            raise InvalidRequest(field_errors(error, document)) from error
        return found.entries(self._streams, self._now)

    def _document(self, line: bytes) -> object:
        return parse_json(line) if self._form is Form.NDJSON else self._row(line)

    def _row(self, line: bytes) -> dict[str, str] | None:
        cells = _cells(line)
        if not self._columns:
            names = tuple(cell.strip().lower() for cell in cells)
            if "address" in names:
                self._columns = _known(names)
                return None
            if len(cells) > 1:
                raise _bad_head("the first line must name the columns")
            self._columns = ("address",)
        if len(cells) != len(self._columns):
            detail = f"has {len(cells)} cells instead of {len(self._columns)}"
            raise InvalidRequest((FieldError("", "invalid_value", detail),))
        pairs = zip(self._columns, map(without_apostrophe, cells), strict=True)
        return {name: cell for name, cell in pairs if cell}


class BadHead(InvalidRequest):
    """The head of a CSV says nothing that its lines could be read by."""


def _bad_head(detail: str) -> BadHead:
    known = ", ".join(COLUMNS)
    error = FieldError("", "invalid_value", f"{detail}: `address`, and any of {known}")
    return BadHead((error,))


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    strange = [name for name in names if name not in COLUMNS]
    if strange or len(set(names)) < len(names):
        raise _bad_head("the first line names a column twice, or one that is not known")
    return names


def _cells(line: bytes) -> list[str]:
    try:
        (cells,) = csv.reader([line.decode()], strict=True)
    except UnicodeDecodeError as error:
        raise MalformedJson(f"the line is not UTF-8 at byte {error.start}") from error
    except (csv.Error, ValueError) as error:
        detail = f"is no line of CSV: {error}"
        raise InvalidRequest((FieldError("", "invalid_value", detail),)) from error
    return cells


@dataclass(slots=True)
class _Tally:
    """What was counted so far, and the entries that wait to be added."""

    lines: int = 0
    added: int = 0
    known: int = 0
    refused: int = 0
    errors: list[RefusedLine] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def refuse(self, number: int, error: PillarboxError) -> None:
        """Count a line that cannot be imported, and remember why if it is among the first."""
        self.refused += 1
        if len(self.errors) < _MOST_ERRORS:
            code, detail = error.code, error.detail
            if isinstance(error, InvalidRequest):
                code = error.fields[0].code
            self.errors.append(RefusedLine(line=number, code=code, detail=detail))

    async def flush(self, add: Add) -> None:
        """Add what waits."""
        added = await add(self.entries) if self.entries else ()
        self.added += sum(each.is_new for each in added)
        self.known += sum(not each.is_new for each in added)
        self.entries.clear()


async def import_lines(pieces: AsyncIterator[bytes], reader: LineReader, add: Add) -> ImportOut:
    """Add what the lines say, and tell what became of them.

    Raises InvalidRequest for the head of a CSV that names no columns, TooLarge for too many lines, or SpoolError;
    what stood before that line may have been added. It may be repeated.
    """
    tally, number = _Tally(), 0
    async for line in _lines(pieces):
        number += 1
        try:
            entries = reader.entries(line)
        except BadHead:
            raise
        except (InvalidRequest, MalformedJson, TooLarge) as error:
            entries = ()
            tally.refuse(number, error)
        if entries is not None:
            tally.lines += 1
            tally.entries += entries
        if number % _LINES_AT_ONCE == 0:
            await tally.flush(add)
        if number > MOST_LINES:
            raise TooLarge(f"an import may have {MOST_LINES} lines: send the rest in another one")
    await tally.flush(add)
    return ImportOut(
        lines=tally.lines,
        added=tally.added,
        known=tally.known,
        refused=tally.refused,
        errors=tally.errors,
    )


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield lines without their ends; of one that is too long no more than shows that it is."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line
        rest = rest[: _MOST_LINE_BYTES + 1]
    if rest:
        yield rest
