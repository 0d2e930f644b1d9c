"""Remarks on the content of a mail: its text, its HTML, and what that names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import unquote

from app.letters.drafts import Draft
from app.rehearsal.links import link_remark, shortened
from app.rehearsal.markup import Tag, Text, pieces
from app.rehearsal.remarks import Code, Remark

MOST_LOOKED_AT = 500_000
"""Characters of HTML that are looked at, and of text."""
_GMAIL_OCTETS = 102 * 1024
_FEW_WORDS = 3
_MOST_LINKS = 20
_HTML = "/html"
_DROPPED = frozenset({"applet", "audio", "embed", "form", "iframe", "object", "script", "video"})
# What the language of templates would fill (RFC 6570 has single braces, and code of pages other signs).
_VALUE = re.compile(
    r"\{\{-?\s{0,9}[A-Za-z_][\w.]{0,99}\s{0,9}(?:\|[^{}]{0,200})?-?\}\}|\{%-?\s{0,9}[a-z][^{}]{0,200}%\}"
)
_CID = re.compile(r"\bcid:([^\s\"'()<>]{1,255})", re.IGNORECASE)
_IMPORT = re.compile(r"@import\b", re.IGNORECASE)
_SPACES = re.compile(r"[\s\u200b\u200c\ufeff\u00ad]+")


@dataclass(slots=True)
class _Seen:
    """What stands in HTML, without the order."""

    words: int = 0
    images: int = 0
    without_alt: int = 0
    in_urls: int = 0
    has_style_outside: bool = False
    links: dict[str, None] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    elements: Counter[str] = field(default_factory=Counter[str])


def content_remarks(mail: Draft) -> Iterator[Remark]:
    """Yield what is to be said of a mail with all values in it."""
    seen = _look(mail.html or "")
    yield from _on_text(mail, seen)
    for pointer, text in (("/subject", mail.subject), ("/text", mail.text), (_HTML, mail.html)):
        if left := _VALUE.search((text or "")[:MOST_LOOKED_AT]):
            detail = f"{shortened(left[0])!a} was not filled: give its value in `variables`"
            yield Remark(Code.VALUE_LEFT, pointer, detail)
    if mail.html is not None:
        yield from _on_html(mail.html, seen)
    yield from _on_attachments(mail, seen)


def _look(html: str) -> _Seen:
    seen = _Seen()
    for piece in pieces(html[:MOST_LOOKED_AT]):
        match piece:
            case Text(text):
                seen.words += len(_SPACES.sub(" ", text).split()) if seen.words < _FEW_WORDS else 0
            case Tag():
                _note(seen, piece)
    return seen


def _note(seen: _Seen, tag: Tag) -> None:
    given = tag.attributes
    match tag.name:
        case "img":
            _note_image(seen, given.get("src", ""), has_alt="alt" in given or _is_tiny(tag))
        case "a" | "area" if "href" in given and len(seen.links) < _MOST_LINKS:
            seen.links[given["href"]] = None
        case "link" if "stylesheet" in given.get("rel", "").lower().split():
            seen.has_style_outside = True
        case "style" if _IMPORT.search(tag.content):
            seen.has_style_outside = True
        case name if name in _DROPPED:
            seen.elements[name] += 1
    for value in (*given.values(), tag.content):
        _note_named(seen, value)


def _note_image(seen: _Seen, source: str, *, has_alt: bool) -> None:
    seen.images += 1
    seen.without_alt += not has_alt
    seen.in_urls += source.lstrip().lower().startswith("data:")


def _is_tiny(tag: Tag) -> bool:
    """Tell whether an image only counts who opens the mail."""
    return {tag.attributes.get("width"), tag.attributes.get("height")} <= {"0", "1"}


def _note_named(seen: _Seen, text: str) -> None:
    if len(seen.named) < 1_000:
        seen.named |= {unquote(found).lower() for found in _CID.findall(text)}


def _on_text(mail: Draft, seen: _Seen) -> Iterator[Remark]:
    has_text = bool(mail.text and mail.text.strip())
    if mail.html is None:
        if not has_text and not mail.attachments and not mail.invitation:
            yield Remark(Code.CONTENT_EMPTY, "/text", "there is nothing to read: write a text")
    elif mail.text is None:
        detail = (
            "there is no text part for readers and filters that want one: give `text` beside `html`"
        )
        yield Remark(Code.NO_TEXT, "/text", detail)
    elif not has_text and (seen.words or seen.images):
        detail = "the text part is empty, and not what the html says: write it, or leave `text` out"
        yield Remark(Code.TEXT_EMPTY, "/text", detail)


def _on_html(html: str, seen: _Seen) -> Iterator[Remark]:
    octets = len(html.encode("utf-8", "surrogatepass"))
    if octets > _GMAIL_OCTETS:
        detail = (
            f"the html has {octets} bytes, and Gmail cuts off behind {_GMAIL_OCTETS}: shorten it"
        )
        yield Remark(Code.HTML_LARGE, _HTML, detail)
    yield from _on_images(seen, is_whole=len(html) <= MOST_LOOKED_AT)
    for name, count in sorted(seen.elements.items()):
        detail = f"<{name}> ({count}) is left away by most mail readers: link to a page that has it"
        yield Remark(Code.ELEMENT_DROPPED, _HTML, detail)
    if seen.has_style_outside:
        detail = "a style sheet is to be fetched from elsewhere, which mail readers do not: put it into <style>"
        yield Remark(Code.STYLE_OUTSIDE, _HTML, detail)
    for target in seen.links:
        if remark := link_remark(target, _HTML):
            yield remark


def _on_images(seen: _Seen, *, is_whole: bool) -> Iterator[Remark]:
    if seen.images and seen.words < _FEW_WORDS and is_whole:
        detail = "all is said by images, which many readers do not show and filters mistrust: write text too"
        yield Remark(Code.IMAGE_ONLY, _HTML, detail)
    if seen.without_alt:
        detail = f'images without alt ({seen.without_alt}): say what they show, or alt="" where it is nothing'
        yield Remark(Code.IMAGE_WITHOUT_ALT, _HTML, detail)
    if seen.in_urls:
        detail = (
            f"images in data: URLs ({seen.in_urls}) are not shown by Gmail and others: attach them with a "
            "`content_id`, and name that (cid:)"
        )
        yield Remark(Code.IMAGE_IN_URL, _HTML, detail)


def _on_attachments(mail: Draft, seen: _Seen) -> Iterator[Remark]:
    files = [each.content_id.lower() for each in mail.attachments if each.content_id]
    for name in sorted(seen.named.difference(files))[:_MOST_LINKS]:
        detail = (
            f"no attachment has the content_id {shortened(name)!a} that the html names: attach it"
        )
        yield Remark(Code.IMAGE_MISSING, _HTML, detail)
    html = unquote(unescape(mail.html or "")).lower() if files else ""
    for number, each in enumerate(mail.attachments):
        # Wherever it stands, as when the mail is composed: some readers look into comments.
        if each.content_id and f"cid:{each.content_id.lower()}" not in html:
            detail = f"the html does not name cid:{each.content_id}, so that it is a mere attachment: name it"
            yield Remark(Code.IMAGE_UNUSED, f"/attachments/{number}/content_id", detail)
