"""HTML from MJML, the markup for mails that becomes tables which all mail clients show alike."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mrml import ParserOptions, noop_loader, to_html

from app.workshop.elements import Tag, tags
from app.workshop.orders import Piece, Trouble, WorkshopRefusal
from app.workshop.placeholders import Guarded, guarded

_ELEMENTS = frozenset(
    {
        "mj-accordion", "mj-accordion-element", "mj-accordion-text", "mj-accordion-title", "mj-all",
        "mj-attributes", "mj-body", "mj-breakpoint", "mj-button", "mj-carousel", "mj-carousel-image", "mj-class",
        "mj-column", "mj-divider", "mj-font", "mj-group", "mj-head", "mj-hero", "mj-image", "mj-navbar",
        "mj-navbar-link", "mj-preview", "mj-raw", "mj-section", "mj-social", "mj-social-element", "mj-spacer",
        "mj-style", "mj-table", "mj-text", "mj-title", "mj-wrapper",
    }
)  # fmt: skip
_SHOWN = 60
_STRAY = re.compile(r"<(?![a-zA-Z/!?])")
_POSITION = re.compile(r" in root template(?: at position (\d+):\d+)?\Z")


def rendered(mjml: str) -> Piece:
    """Return the HTML document. Raises WorkshopRefusal, which names the line.

    Template syntax comes out as it went in; nothing is included from elsewhere.
    """
    guard = guarded(mjml)
    _require_known(guard)
    try:
        made = to_html(guard.text, ParserOptions(include_loader=noop_loader())).content
    except (OSError, ValueError) as error:
        raise WorkshopRefusal(Trouble.INVALID, _explained(str(error), guard)) from error
    guard.require_order(made)
    return Piece(guard.restored(made), guard.without_effect(made))


def _require_known(guard: Guarded) -> None:
    for tag in tags(guard.text):
        if tag.name == "mj-include":
            remedy = "mj-include is not supported: put the content itself there"
        elif tag.name.startswith("mj-") and tag.name not in _ELEMENTS:
            remedy = f"there is no element {tag.name[:_SHOWN]} in MJML"
        else:
            continue
        raise WorkshopRefusal(Trouble.INVALID, f"line {guard.line_at(tag.at)}: {remedy}")


def _explained(error: str, guard: Guarded) -> str:
    """Return what is wrong, and in which line: the library knows it as an offset in bytes, or not at all."""
    if fault := _fault(guard):
        return f"line {guard.line_at(fault.at)}: {fault.remedy}"
    words = _POSITION.sub("", error)
    if (position := _POSITION.search(error)) and position[1]:
        offset = len(guard.text.encode()[: int(position[1])].decode(errors="ignore"))
        return f"line {guard.line_at(offset)}: {words}"
    return f"this is no MJML: {words}"


@dataclass(frozen=True, slots=True)
class _Fault:
    at: int
    remedy: str


def _fault(guard: Guarded) -> _Fault | None:
    """Return the first place that is no XML, as far as tags show it."""
    if stray := _STRAY.search(guard.text):
        return _Fault(stray.start(), "`<` begins no tag there; write `&lt;`")
    opened: list[Tag] = []
    for tag in tags(guard.text):
        if tag.has_bare_value:
            return _Fault(tag.at, f"<{tag.name[:_SHOWN]}> has a value without quotes")
        if tag.is_whole:
            continue
        if not tag.is_end:
            opened.append(tag)
        elif opened and opened[-1].name == tag.name:
            opened.pop()
        else:
            return _misfit(opened, tag)
    return _unclosed(opened[-1]) if opened else None


def _misfit(opened: list[Tag], end: Tag) -> _Fault:
    if any(tag.name == end.name for tag in opened):
        return _unclosed(opened[-1])
    return _Fault(end.at, f"</{end.name[:_SHOWN]}> closes nothing")


def _unclosed(tag: Tag) -> _Fault:
    return _Fault(tag.at, f"<{tag.name[:_SHOWN]}> is not closed")
