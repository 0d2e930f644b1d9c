"""Tags and text of HTML, as a browser's tokenizer sees them, in one pass that only goes forward.

What does not end (a tag, a comment, a style sheet) hides all that follows, as it does in readers (WHATWG HTML
§13.2.5). So each character is looked at a bounded number of times, whatever stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import TypeAlias

_START = re.compile(r"<([A-Za-z][^\s/>]{0,50})(?=[\s/>])")
_ATTRIBUTE = re.compile(
    r"""[\s/]*+(?:([^\s/>=][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"'][^\s>]*+)|))?|=)"""
)
_END = re.compile(r"[\s/]*+>")
_MOST_ATTRIBUTES = 100
_RAW = frozenset({"script", "style", "textarea", "title"})
"""What stands in them is no markup."""


@dataclass(frozen=True, slots=True)
class Text:
    """Characters between tags, entities decoded."""

    text: str


@dataclass(frozen=True, slots=True)
class Tag:
    """The start of an element: its name and attributes in lower case, entities decoded; the first of two wins.

    `content` is what stands in an element that holds no markup.
    """

    name: str
    attributes: Mapping[str, str]
    content: str = ""


Piece: TypeAlias = Text | Tag


def pieces(html: str) -> Iterator[Piece]:
    """Yield text and tags in their order; not comments, and not the ends of elements."""
    at = 0
    while (found := html.find("<", at)) >= 0:
        if found > at:
            yield Text(unescape(html[at:found]))
        if start := _START.match(html, found):
            tag, at = _tag(html, start)
            if tag is None:
                return
            yield tag
        else:
            at = _behind(html, found)
            if at == found + 1:
                yield Text("<")
    if at < len(html):
        yield Text(unescape(html[at:]))


def _tag(html: str, start: re.Match[str]) -> tuple[Tag | None, int]:
    """Return the tag, and where it ends; none where it does not."""
    attributes: dict[str, str] = {}
    at = start.end()
    while (end := _END.match(html, at)) is None:
        found = _ATTRIBUTE.match(html, at)
        if found is None:
            return None, len(html)
        if found[1] and len(attributes) < _MOST_ATTRIBUTES:
            value = next((part for part in found.groups()[1:] if part is not None), "")
            attributes.setdefault(found[1].lower(), unescape(value))
        at = found.end()
    name = start[1].lower()
    if name not in _RAW:
        return Tag(name, attributes), end.end()
    closing = re.compile(f"</{name}", re.IGNORECASE).search(html, end.end())
    stop = closing.start() if closing else len(html)
    return Tag(name, attributes, html[end.end() : stop]), stop


def _behind(html: str, at: int) -> int:
    """Return where what is no start tag ends: a comment, a declaration, an end tag, or a mere sign."""
    following = html[at + 1 : at + 2]
    if html.startswith("<!--", at):
        return _after(html, "-->", at + 4)
    is_tag = following == "/" and html[at + 2 : at + 3].isalpha()
    return _after(html, ">", at + 1) if is_tag or following in ("!", "?") else at + 1


def _after(html: str, sign: str, at: int) -> int:
    found = html.find(sign, at)
    return found + len(sign) if found >= 0 else len(html)
