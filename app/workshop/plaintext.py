"""Text from HTML: what a reader without HTML gets to see.

Links are shown as `Label (https://…)`, images by their `alt`, lists with bullets, tables of data in columns.
Tables that only place things, as mails are full of, become lines one below the other. Left out is what is
not shown: head, scripts, styles, comments, and elements that hide themselves, such as preheaders.
"""

from __future__ import annotations

import re

from inscriptis.css_profiles import STRICT_CSS_PROFILE  # type: ignore[import-untyped] # it has no types
from inscriptis.html_engine import Inscriptis  # type: ignore[import-untyped] # it has no types
from inscriptis.model.config import ParserConfig  # type: ignore[import-untyped] # it has no types
from lxml import etree, html

from app.workshop.orders import Piece, Trouble, WorkshopRefusal

_MOST_CELL = 40
"""Characters of a cell beside which another one is still readable."""
_UNSEEN = (
    "audio", "canvas", "embed", "head", "iframe", "input", "link", "math", "meta", "noembed", "object", "script",
    "select", "style", "svg", "template", "textarea", "title", "video",
)  # fmt: skip
_OF_TABLES = ("caption", "table", "tbody", "td", "tfoot", "th", "thead", "tr")
_BLOCKS = (
    "blockquote",
    "div",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "ol",
    "p",
    "pre",
    "table",
    "ul",
)
_HIDDEN = re.compile(
    r"(?:^|[;\s])(?:display\s*:\s*none|visibility\s*:\s*hidden|max-height\s*:\s*0(?:px)?\s*(?:;|!|$))",
    re.IGNORECASE,
)
# Soft hyphens, and what fills the line that lists of mails show after the subject.
_FILLERS = re.compile("[\u00ad\u034f\u200b\u2060\ufeff]+")
_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*>", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
# Begins only where white space does: many spaces before a word take no longer than many words.
_TRAILING = re.compile(r"(?<![^\S\n])[^\S\n]+$", re.MULTILINE)
_EMPTY_LINES = re.compile(r"\n{3,}")
_SCHEMES = ("http:", "https:", "mailto:", "sms:", "tel:")
_RULE = "-" * 20
_CONFIG = ParserConfig(css=STRICT_CSS_PROFILE)


def text_of(document: str) -> Piece:
    """Return the text of an HTML document or a part of one; empty where there is nothing to read.

    Lines are as long as their paragraphs. Raises WorkshopRefusal.
    """
    root = _parsed(document)
    if root is None:
        return Piece("")
    for step in (_drop_unseen, _write_out_images, _write_out_links, _unfold_tables):
        step(root)
    try:
        return Piece(_tidy(Inscriptis(root, _CONFIG).get_text()))
    except RecursionError as error:
        raise WorkshopRefusal(Trouble.TOO_DEEP, "the elements are nested too deeply") from error


def _parsed(document: str) -> html.HtmlElement | None:
    clean = _CONTROLS.sub(" ", _DECLARATION.sub("", document))
    try:
        return html.document_fromstring(clean, parser=_parser()) if clean.strip() else None
    except etree.ParserError:
        return None  # nothing but comments


def _parser() -> html.HTMLParser:
    # Its own limit leaves out, without a word, what is nested deeper than 256 elements: 60 tables.
    return html.HTMLParser(huge_tree=True)


def _drop_unseen(root: html.HtmlElement) -> None:
    etree.strip_elements(
        root, etree.Comment, etree.ProcessingInstruction, *_UNSEEN, with_tail=False
    )
    for element in [*root.iterdescendants()]:
        if "hidden" in element.attrib or _HIDDEN.search(element.get("style", "")):
            element.drop_tree()
    # Left in, they would make spaces and margins of those that a screen has.
    etree.strip_attributes(root, "align", "style", "valign")


def _write_out_images(root: html.HtmlElement) -> None:
    for image in root.iter("img"):
        image.tag, image.text = "span", _one_line(image.get("alt", ""))
    for rule in root.iter("hr"):
        rule.tag, rule.text = "div", _RULE


def _write_out_links(root: html.HtmlElement) -> None:
    for link in root.iter("a"):
        target = "".join(link.get("href", "").split())
        label = _one_line(link.text_content())
        if target.lower().startswith(_SCHEMES) and not _says_the_same(label, target):
            _append(link, f" ({target})" if label else f" {target} ")


def _says_the_same(label: str, target: str) -> bool:
    bare = re.sub(r"^(?:https?://|mailto:|tel:|sms:)", "", target, flags=re.IGNORECASE)
    return label.rstrip("/").lower() in {target.rstrip("/").lower(), bare.rstrip("/").lower()}


def _append(element: html.HtmlElement, text: str) -> None:
    if len(element):
        element[-1].tail = (element[-1].tail or "") + text
    else:
        element.text = (element.text or "") + text


def _unfold_tables(root: html.HtmlElement) -> None:
    """Turn tables that only place things into blocks, one below the other."""
    data = {
        part
        for table in root.iter("table")
        if _holds_data(table)
        for part in table.iter(*_OF_TABLES)
    }
    for part in [*root.iter(*_OF_TABLES)]:
        if part not in data:
            part.tag = "div"


def _holds_data(table: html.HtmlElement) -> bool:
    if table.get("role", "").lower() in {"none", "presentation"}:
        return False
    cells = [*table.iter("td", "th")]
    return (
        next(table.iterdescendants(*_BLOCKS), None) is None
        and len(cells) > len([*table.iter("tr")])
        and all(len(_one_line(cell.text_content())) <= _MOST_CELL for cell in cells)
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _tidy(text: str) -> str:
    lines = _TRAILING.sub("", _FILLERS.sub("", text).replace("\xa0", " "))
    return _EMPTY_LINES.sub("\n\n", lines).strip("\n")
