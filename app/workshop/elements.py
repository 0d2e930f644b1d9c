"""Tags as a scanner sees them, in one pass, before anything that recurses gets the text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

# Quoted values may hold a `>`; comments may hold anything.
_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)|<(/?)([a-zA-Z][^\s/>\"'<]*+)(?:[^>\"']++|\"[^\"]*+\"|'[^']*+')*+>?+",
    re.DOTALL,
)
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_VOID = frozenset(
    {
        "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
        "wbr",
    }
)  # fmt: skip
# HTML lets their end tags away: the next one of their kind ends them.
_SELF_ENDING = frozenset(
    {"dd", "dt", "li", "option", "p", "tbody", "td", "tfoot", "th", "thead", "tr"}
)


@dataclass(frozen=True, slots=True)
class Tag:
    """A start or end tag, with the offset at which it begins."""

    name: str
    at: int
    is_end: bool
    is_whole: bool
    """Whether it opens nothing: a void element, or `<x/>`."""
    text: str

    @property
    def has_bare_value(self) -> bool:
        """Tell whether an attribute's value stands without quotes."""
        return re.search(r"=\s*(?![\s\"'])", _QUOTED.sub('""', self.text)) is not None


def tags(text: str) -> Iterator[Tag]:
    """Give the tags in their order, without those in comments; names are as written."""
    for found in _TAG.finditer(text):
        if name := found[2]:
            is_whole = name.lower() in _VOID or found[0].endswith("/>")
            yield Tag(name, found.start(), bool(found[1]), is_whole, found[0])


def deepest(text: str, *, is_mjml: bool) -> int:
    """Return how many elements are open at most. It is meant for a limit: odd HTML may nest a little deeper.

    In HTML a `/` before `>` means nothing, and some elements end without an end tag. MJML is XML.
    """
    opened: Counter[str] = Counter()
    now = most = 0
    for found in _TAG.finditer(text):
        name = (found[2] or "").lower()
        if not name or name in _VOID or (not is_mjml and name in _SELF_ENDING):
            continue
        if found[1]:
            if opened[name]:
                opened[name] -= 1
                now -= 1
        elif not (is_mjml and found[0].endswith("/>")):
            opened[name] += 1
            now += 1
            most = max(most, now)
    return most
