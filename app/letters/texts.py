"""The text part of a mail that was given as HTML only: made from it, for readers and filters that want one."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from html import unescape

from app.errors import WorkshopBusy
from app.ids import ProjectId
from app.letters.drafts import Draft
from app.letters.language.grammar import MAX_SOURCE
from app.workshop.orders import WorkshopRefusal
from app.workshop.workshop import Workshop

# Neither looks past a brace, so that many that are not closed take no longer than a few.
_BLOCK = re.compile(r"(\{%[^{}]*%\})")
_VALUE = re.compile(r"\{\{([^{}]*)\}\}")
_TARGET = re.compile(r"""\bhref\s*=\s*("[^"]*"|'[^']*'|[^\s>"']+)""", re.IGNORECASE)
_LINK = re.compile(r"""(\bhref\s*+=\s*+(?:["']\s*+)?)(?=\{\{)""", re.IGNORECASE)
_REMEMBERED = 32
_MOST_SECONDS = 20.0
"""How long the texts of one message may take, all copies together: others wait for their turn meanwhile."""
_SOME_HOST = "https://host.invalid/"
_WORD = re.compile(r"[^\W\d_]+")


async def with_text_to_fill(draft: Draft, project: ProjectId, workshop: Workshop) -> Draft:
    """Return a draft whose HTML takes values with a text part that takes the same ones, if one can be made.

    It is made once for all copies and, since the workshop remembers, for all mails of a template.
    """
    takes_values = draft.variables is not None or draft.is_merged
    if not takes_values or draft.html is None or draft.text is not None:
        return draft
    if not _is_simple(draft.html):
        return draft
    # Only links are shown of which it can be seen that they are some.
    shown = _LINK.sub(rf"\1{_SOME_HOST}", draft.html)
    made = await with_text(replace(draft, html=shown), project, workshop)
    if made.text is None:
        return draft
    text = made.text.replace(_SOME_HOST, "")
    return replace(draft, text=text) if _says_the_same(text, draft.html) else draft


def _is_simple(html: str) -> bool:
    """Tell whether all tags of a template can be seen at a glance: none holds a brace."""
    return (
        len(html) <= MAX_SOURCE
        and html.count("{%") == len(_BLOCK.findall(html))
        and html.count("{{") == len(_VALUE.findall(html))
    )


@lru_cache(_REMEMBERED)
def _says_the_same(text: str, html: str) -> bool:
    """Tell whether all blocks of a template are in the text, and between them nothing that was elsewhere.

    What stands between the rows of a table is moved in front of it by those who read HTML.
    """
    pieces, originals = _BLOCK.split(text), _BLOCK.split(html)
    if list(map(_spaced, pieces[1::2])) != list(map(_spaced, originals[1::2])):
        return False
    return all(map(_is_part, pieces[::2], originals[::2]))


def _is_part(text: str, html: str) -> bool:
    """Tell whether a text shows links with values, and no values and words but those of the HTML."""
    shown, links = _values(text), _values(" ".join(_TARGET.findall(html)))
    words = set(_WORD.findall(_VALUE.sub(" ", text)))
    return links <= shown <= _values(html) and words <= set(_WORD.findall(unescape(html)))


def _values(text: str) -> Counter[str]:
    return Counter(found.strip() for found in _VALUE.findall(text))


def _spaced(tag: str) -> str:
    return " ".join(tag.split())


async def with_text(draft: Draft, project: ProjectId, workshop: Workshop) -> Draft:
    """Return the draft with a text part, if it has HTML and says nothing of text; `text=""` says something.

    No mail is refused for the lack of one: where none can be made, the draft stays as it is, and the metrics
    of the workshop tell why.
    """
    if draft.html is None or draft.text is not None:
        return draft
    try:
        made = await workshop.text_of_html(draft.html, project)
    except (WorkshopRefusal, WorkshopBusy):
        return draft
    return replace(draft, text=made.text) if made.text else draft


def _lacks_text(draft: Draft) -> bool:
    return draft.html is not None and draft.text is None


async def with_texts(
    drafts: Sequence[Draft], project: ProjectId, workshop: Workshop, seconds: float = _MOST_SECONDS
) -> tuple[Draft, ...]:
    """Return all copies of a message with their text parts, or as they are where that takes longer than that."""
    if not any(map(_lacks_text, drafts)):
        return tuple(drafts)
    try:
        async with asyncio.timeout(seconds):
            return tuple([await with_text(draft, project, workshop) for draft in drafts])
    except TimeoutError:
        return tuple(drafts)
