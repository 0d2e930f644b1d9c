"""Placeholders: what stands for template syntax on its way through a parser of HTML, and is put back afterwards.

A parser reads `{% if a < b %}` as the start of a tag, moves `{% for %}` out of a table, and takes the quotes
of `{{ "x" }}` inside an attribute for its end. So each piece of syntax is replaced by a placeholder
that has a safe form where it stands: a comment between tags, a word in values, style sheets and comments, an
attribute among attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import zip_longest

from app.workshop.orders import Trouble, WorkshopRefusal

_STRINGS = r"\"(?:\\.|[^\"\\])*+\"|'(?:\\.|[^'\\])*+'"
_FORMS = {
    "{{": re.compile(rf"\{{\{{(?:{_STRINGS}|[^\"'}}]|\}}(?!\}}))*+\}}\}}", re.DOTALL),
    "{%": re.compile(
        r"\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}"
        rf"|\{{%(?:{_STRINGS}|[^\"'%]|%(?!\}}))*+%\}}",
        re.DOTALL,
    ),
    "{#": re.compile(r"\{#.*?#\}", re.DOTALL),
}
_OPENING = r"\{[{%#]"
_WORDS_ONLY = (
    "iframe", "mj-accordion-title", "mj-preview", "mj-style", "mj-title", "noembed", "noframes", "script", "style",
    "textarea", "title", "xmp",
)  # fmt: skip
_IN_TEXT = re.compile(rf"{_OPENING}|<!--|</?[a-zA-Z]")
_IN_TAG = re.compile(rf"{_OPENING}|[\"'>]")
_IN_VALUE = {quote: re.compile(rf"{_OPENING}|{quote}") for quote in "\"'"}
_IN_COMMENT = re.compile(rf"{_OPENING}|-->")
_IN_WORDS = {name: re.compile(rf"{_OPENING}|</{name}", re.IGNORECASE) for name in _WORDS_ONLY}
_TAG_NAME = re.compile(r"<([a-zA-Z][^\s/>{]*)")
_SHOWN = 60
_ADVICE = "put it into a value, or between whole elements"


class _Place(Enum):
    TEXT = "between tags"
    WORD = "in a value, a style sheet or a comment"
    ATTRIBUTE = "among attributes"


@dataclass(frozen=True, slots=True)
class _Found:
    start: int
    end: int
    place: _Place
    is_statement: bool = False


@dataclass(frozen=True, slots=True)
class Guarded:
    """A text whose template syntax is hidden in placeholders."""

    text: str
    _source: str
    _mark: str
    _pieces: tuple[str, ...]

    def restored(self, text: str) -> str:
        """Return a text that was made of the guarded one, with its template syntax."""
        return self._placeholders().sub(lambda found: self._pieces[_number(found)], text)

    def line_at(self, offset: int) -> int:
        """Return the line of the original in which the character `offset` of the guarded text stands."""
        return self.restored(self.text[:offset]).count("\n") + 1

    def require_order(self, made: str) -> None:
        """Raise WorkshopRefusal if a statement is missing in `made`, or syntax between tags was moved."""
        kept = set(self._numbers(made))
        for sequence in (self._statements, self._between_tags):
            before = [
                number for number in sequence(self.text) if number in kept or self._acts(number)
            ]
            for wanted, found in zip_longest(before, sequence(made)):
                if wanted != found:
                    raise WorkshopRefusal(
                        Trouble.INVALID,
                        f"{self._named(found if wanted is None else wanted)} "
                        f"cannot stand there: {_ADVICE}",
                    )

    def without_effect(self, made: str) -> tuple[str, ...]:
        """Return a sentence for each expression of the template that is missing in `made`."""
        gone = set(self._numbers(self.text)) - set(self._numbers(made))
        return tuple(
            f"{self._named(number)} has no effect there; write a plain value"
            for number in sorted(gone)
            if self._pieces[number].startswith("{{")
        )

    def _statements(self, text: str) -> list[int]:
        """Return the statements in their order; a value with one may be used in several places."""
        return [number for number in dict.fromkeys(self._numbers(text)) if self._acts(number)]

    def _between_tags(self, text: str) -> list[int]:
        return [int(found[1]) for found in self._placeholders().finditer(text) if found[1]]

    def _acts(self, number: int) -> bool:
        return "{%" in self._pieces[number]

    def _named(self, number: int) -> str:
        piece = self._pieces[number]
        line = self._source.count("\n", 0, self._source.index(piece)) + 1
        return f"line {line}: {piece[:_SHOWN]}{'…' if len(piece) > _SHOWN else ''}"

    def _numbers(self, text: str) -> Iterator[int]:
        return map(_number, self._placeholders().finditer(text))

    def _placeholders(self) -> re.Pattern[str]:
        mark = self._mark
        return re.compile(rf'<!--{mark}(\d+)z-->|{mark}(\d+)a(?:="")?|{mark}(\d+)z')


def guarded(source: str) -> Guarded:
    """Return `source` with its template syntax in placeholders. Raises WorkshopRefusal where some has no end."""
    mark = "pbq"
    while mark in source:
        mark += "q"
    pieces: list[str] = []
    expressions: dict[str, int] = {}
    text: list[str] = []
    last = 0
    for found in _places(source):
        piece = source[found.start : found.end]
        # The same expression is the same word, so that a class in a style sheet still meets its elements.
        number = expressions.get(piece, len(pieces))
        if number == len(pieces):
            pieces.append(piece)
            if piece.startswith("{{"):
                expressions[piece] = number
        text += (source[last : found.start], _placeholder(f"{mark}{number}", found, source))
        last = found.end
    return Guarded("".join((*text, source[last:])), source, mark, tuple(pieces))


def _number(placeholder: re.Match[str]) -> int:
    return int(placeholder[1] or placeholder[2] or placeholder[3])


def _placeholder(name: str, found: _Found, source: str) -> str:
    match found.place:
        case _Place.TEXT:
            return f"<!--{name}z-->"
        case _Place.ATTRIBUTE:
            before = "" if source[found.start - 1].isspace() else " "
            after = "" if source[found.end : found.end + 1] in {"", " ", ">", "/"} else " "
            return f"{before}{name}a{after}"
        case _Place.WORD:
            return f"{name}z"


def _places(source: str) -> Iterator[_Found]:
    """Give what is to be replaced, in its order."""
    position = 0
    while found := _IN_TEXT.search(source, position):
        if found[0].startswith("{"):
            position = _end(source, found.start())
            yield _Found(found.start(), position, _Place.TEXT)
        elif found[0] == "<!--":
            words = _words(source, found.end(), _IN_COMMENT)
            yield from words.found
            position = words.end
        else:
            element = _element(source, found.start())
            yield from element.found
            position = element.end


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A part of the source that was read: what was found in it, and where it ends."""

    found: list[_Found]
    end: int

    @property
    def has_statements(self) -> bool:
        return any(found.is_statement for found in self.found)


def _element(source: str, start: int) -> _Stretch:
    """Read a tag, and all of the element where it can hold no other elements."""
    tag = _tag(source, start)
    name = _TAG_NAME.match(source, start)
    closing = name and _IN_WORDS.get(name[1].lower())
    if not name or not closing:
        return tag
    words = _words(source, tag.end, closing)
    if name[1].lower() == "style" and words.has_statements:
        # Which rules there are is known when it is rendered; until then it is none of a parser's business.
        end = source.find(">", words.end) + 1 or len(source)
        return _Stretch([_Found(start, end, _Place.TEXT, is_statement=True)], end)
    return _Stretch(tag.found + words.found, words.end)


def _tag(source: str, start: int) -> _Stretch:
    found: list[_Found] = []
    position = start
    while stop := _IN_TAG.search(source, position):
        if stop[0] == ">":
            return _Stretch(_folded(found), stop.end())
        if stop[0] in _IN_VALUE:
            value = _words(source, stop.end(), _IN_VALUE[stop[0]])
            found += value.found
            position = value.end
            continue
        end = _end(source, stop.start())
        is_statement = stop[0] == "{%"
        place = _place_in_tag(source[position : stop.start()], found, position, is_statement)
        found.append(_Found(stop.start(), end, place, is_statement))
        position = end
    return _Stretch(_folded(found), len(source))


def _place_in_tag(before: str, found: list[_Found], position: int, is_statement: bool) -> _Place:
    """Tell whether syntax continues a word (`width={{ w }}`, `<h{{ n }}>`) or stands among attributes."""
    word = before.split()[-1] if before and not before[-1].isspace() else ""
    continues = bool(
        not re.search(r"\s", before)
        and found
        and found[-1].end == position
        and found[-1].place is _Place.WORD
    )
    is_in_word = "=" in word or (bool(word) and not is_statement)
    return _Place.WORD if continues or is_in_word else _Place.ATTRIBUTE


def _folded(found: list[_Found]) -> list[_Found]:
    """Make one of all that stands from the first to the last syntax among attributes: parsers sort attributes."""
    among = [each for each in found if each.place is _Place.ATTRIBUTE]
    if not among:
        return found
    start, end = among[0].start, among[-1].end
    is_statement = any(each.is_statement for each in found if start <= each.start < end)
    fold = _Found(start, end, _Place.ATTRIBUTE, is_statement)
    return [
        *(each for each in found if each.end <= start),
        fold,
        *(each for each in found if each.start >= end),
    ]


def _words(source: str, position: int, closing: re.Pattern[str]) -> _Stretch:
    """Read to the end of a value, a comment, or an element without inner elements."""
    found: list[_Found] = []
    while stop := closing.search(source, position):
        if not stop[0].startswith("{"):
            return _Stretch(found, stop.end())
        end = _end(source, stop.start())
        found.append(_Found(stop.start(), end, _Place.WORD, stop[0] == "{%"))
        position = end
    return _Stretch(found, len(source))


def _end(source: str, start: int) -> int:
    """Return where the syntax that starts there ends. Raises WorkshopRefusal if it does not."""
    opening = source[start : start + 2]
    if whole := _FORMS[opening].match(source, start):
        return whole.end()
    line = source.count("\n", 0, start) + 1
    raise WorkshopRefusal(
        Trouble.INVALID,
        f"line {line}: `{opening}` begins template syntax that does not end; "
        "write a space between the two characters if none is meant",
    )
