"""Splitting: the items of a batch out of its JSON, each as soon as it is there, whatever pieces it comes in.

Only what stands around the items is understood here: one object, whose members are arrays. An item is the bytes
from its first to its last; they are read as any other body is. Every byte is looked at once, by C code.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from app.api.body import MARKED, parse_json
from app.api.pointers import pointer
from app.api.problems import MalformedJson
from app.errors import FieldError, InvalidRequest, TooLarge

MAX_MARKS = 2_000_000
"""Strings, arrays and objects of one batch, however large it may be: each takes time of its own."""
_MAX_NAME_BYTES = 1_000

_MARK = re.compile(rb'["\[\]{}]')
_SPACE = re.compile(rb"[ \t\r\n]*")
_SCALAR = re.compile(rb"[^\x00- \"\[\]{}:,]*")
# Of a string; it may end before a backslash whose character has not come yet. Faster where there are many.
_ESCAPES = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_QUOTE, _BACKSLASH = b'"'[0], b"\\"[0]
# How the byte order marks of UTF-8 and UTF-16 begin; no other document does.
_MARKS = (b"\xef", b"\xfe", b"\xff")
_CLOSING = {b"{"[0]: b"}"[0], b"["[0]: b"]"[0]}


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the array of that name."""

    name: str
    body: bytes


_Steps: TypeAlias = Generator[Item | None, None, None]


class Splitter:
    """Splits one document. A step that wants more bytes yields None."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Expect arrays of these names, in this order; any may be missing."""
        self._names = names
        self._buffer = bytearray()
        self._gone = 0  # bytes before the buffer
        self._start = 0  # of the value that is being read
        self._at = 0
        self._string = -1  # where the string that we are in goes on; -1 outside
        self._open = bytearray()  # what closes the arrays and objects that we are in
        self._marks = 0
        self._is_whole = False
        self._steps = self._document()

    def feed(self, piece: bytes) -> Iterator[Item]:
        """Yield the items that are complete with this piece.

        Raises MalformedJson, TooLarge, or InvalidRequest where there is another member, or no array.
        """
        self._buffer += piece
        for item in self._steps:
            if item is None:
                return
            yield item

    def end(self) -> None:
        """Tell that there is no more. Raises MalformedJson unless the document is complete."""
        if not self._is_whole:
            raise self._malformed("the body ends too early")

    def _document(self) -> _Steps:
        yield from self._skip_space()
        if self._next() in _MARKS:
            raise MalformedJson(MARKED)
        yield from self._skip(b"{")
        seen: list[str] = []
        separator = b"{"
        while separator != b"}":
            yield from self._skip_space()
            if separator == b"{" and self._next() == b"}":
                break
            yield from self._member(seen)
            separator = yield from self._separator(b",}")
        self._at += separator == b"{"
        self._is_whole = True
        while True:
            yield from self._skip_space()
            raise self._malformed("something stands behind the end")

    def _member(self, seen: list[str]) -> _Steps:
        name = yield from self._name()
        self._check_name(name, seen)
        seen.append(name)
        yield from self._skip(b":")
        yield from self._skip_space()
        if self._next() != b"[":
            raise InvalidRequest((FieldError(f"/{name}", "wrong_type", "must be a list"),))
        self._at += 1
        yield from self._skip_space()
        if self._next() == b"]":
            self._at += 1
            return
        separator = b","
        while separator == b",":
            yield from self._value()
            yield Item(name, bytes(self._buffer[self._start : self._at]))
            separator = yield from self._separator(b",]")

    def _check_name(self, name: str, seen: list[str]) -> None:
        if name in seen:
            raise MalformedJson(f"the name {name!a} stands twice in one object")
        if name not in self._names:
            detail = "is not a field of this request"
            raise InvalidRequest((FieldError(pointer((name,)), "unknown_field", detail),))
        if any(self._names.index(name) < self._names.index(other) for other in seen):
            detail = f"must stand before `{seen[-1]}`, which is read as it comes"
            raise InvalidRequest((FieldError(f"/{name}", "wrong_order", detail),))

    def _name(self) -> Generator[None, None, str]:
        yield from self._skip_space()
        if self._next() != b'"':
            raise self._malformed("a name in quotation marks is missing")
        yield from self._value(_MAX_NAME_BYTES)
        self._check_length(_MAX_NAME_BYTES)
        name = parse_json(bytes(self._buffer[self._start : self._at]))
        assert isinstance(name, str)
        return name

    def _value(self, most: int | None = None) -> Generator[None, None, None]:
        yield from self._skip_space()
        self._start = self._at
        first = self._buffer[self._at]
        is_scalar = first != _QUOTE and first not in _CLOSING
        is_done = self._pass_scalar if is_scalar else self._pass_marks
        while not is_done():
            self._check_length(most)
            yield from self._more()

    def _check_length(self, most: int | None) -> None:
        if most and self._at - self._start > most:
            raise self._malformed("a name is too long")

    def _pass_scalar(self) -> bool:
        """Go on to the end of a number or word; tell whether it is there."""
        self._at = _end_of(_SCALAR, self._buffer, self._at)
        if self._at == len(self._buffer):
            return False
        if self._at == self._start:
            raise self._malformed("a value is missing")
        return True

    def _pass_marks(self) -> bool:
        """Go on to the end of a string, array or object; tell whether it is there."""
        while self._pass_string():
            if not self._open and self._at > self._start:
                return True
            at = _start_of_mark(self._buffer, self._at)
            if at < 0:
                self._at = len(self._buffer)
                return False
            self._at = at + 1
            self._mark(self._buffer[at])
        return False

    def _mark(self, mark: int) -> None:
        self._marks += 1
        if self._marks > MAX_MARKS:
            raise TooLarge(f"the batch has more than {MAX_MARKS} strings, lists and objects")
        if mark == _QUOTE:
            self._string = self._at
        elif mark in _CLOSING:
            self._open.append(_CLOSING[mark])
        elif self._open.pop() != mark:
            raise self._malformed(f"{chr(mark)} closes nothing")

    def _pass_string(self) -> bool:
        """Leave the string that we are in, if we are; tell whether its end is there."""
        while self._string >= 0:
            quote = self._buffer.find(b'"', self._at)
            if quote < 0:
                self._at = len(self._buffer)
                return False
            if self._is_escaped(quote):
                self._at = self._string = _end_of(_ESCAPES, self._buffer, self._string)
            else:
                self._at, self._string = quote + 1, -1
        return True

    def _is_escaped(self, quote: int) -> bool:
        if self._buffer[quote - 1] != _BACKSLASH:
            return False
        before = self._buffer[self._string : quote]
        return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1

    def _separator(self, allowed: bytes) -> Generator[None, None, bytes]:
        yield from self._skip_space()
        found = self._next()
        if found not in allowed:
            raise self._malformed(f"{chr(allowed[0])} or {chr(allowed[1])} is missing")
        self._at += 1
        self._start = self._at
        return found

    def _skip(self, wanted: bytes) -> Generator[None, None, None]:
        yield from self._skip_space()
        if self._next() != wanted:
            raise self._malformed(f"{wanted.decode()} is missing")
        self._at += 1

    def _skip_space(self) -> Generator[None, None, None]:
        """Go on to a byte that is no white space."""
        self._at = self._start = _end_of(_SPACE, self._buffer, self._at)
        while self._at == len(self._buffer):
            yield from self._more()
            self._at = self._start = _end_of(_SPACE, self._buffer, self._at)

    def _next(self) -> bytes:
        return bytes(self._buffer[self._at : self._at + 1])

    def _more(self) -> Generator[None, None, None]:
        """Forget what was read, and wait for the next piece."""
        del self._buffer[: self._start]
        self._gone += self._start
        self._at -= self._start
        if self._string >= 0:
            self._string -= self._start
        self._start = 0
        yield None

    def _malformed(self, reason: str) -> MalformedJson:
        return MalformedJson(f"{reason}, at byte {self._gone + self._at}")


# A match keeps its bytes from growing for as long as it lives, so that none may be held over a wait.
def _end_of(pattern: re.Pattern[bytes], buffer: bytearray, at: int) -> int:
    found = pattern.match(buffer, at)
    return found.end() if found else at


def _start_of_mark(buffer: bytearray, at: int) -> int:
    found = _MARK.search(buffer, at)
    return found.start() if found else -1
