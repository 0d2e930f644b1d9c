"""HTML as the lint sees it: what browsers see, and never more than one pass over what was made to hurt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rehearsal.markup import Tag, Text, pieces


def tags(html: str) -> list[tuple[str, dict[str, str]]]:
    return [(each.name, dict(each.attributes)) for each in pieces(html) if isinstance(each, Tag)]


def text(html: str) -> str:
    return "".join(each.text for each in pieces(html) if isinstance(each, Text))


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<p>", [("p", {})]),
        ("<P CLASS=a>", [("p", {"class": "a"})]),
        ("<a href=https://a.example/b>", [("a", {"href": "https://a.example/b"})]),
        ("<a href = 'x y' title=\"<b>\">", [("a", {"href": "x y", "title": "<b>"})]),
        ("<a href='a&amp;b'>", [("a", {"href": "a&b"})]),
        ("<img alt src=x/>", [("img", {"alt": "", "src": "x/"})]),
        ("<br/>", [("br", {})]),
        ("<a x=1 x=2>", [("a", {"x": "1"})]),
        ("<p it's>", [("p", {"it's": ""})]),
        ("<a\nhref\n=\n'x'\n>", [("a", {"href": "x"})]),
        ("<!-- <b> --><i>", [("i", {})]),
        ("<!doctype html><?x <u>?><i>", [("i", {})]),
        ("<style>a > b { } <i></STYLE ><b>", [("style", {}), ("b", {})]),
        ("<b title=<i>", [("b", {"title": "<i"})]),
        ("1 < 2 <3 <b>", [("b", {})]),
        ("<b><i", [("b", {})]),
        ("<b><i x='>", [("b", {}), ("i", {"x": "", "'": ""})]),
        ("<b><!-- <i>", [("b", {})]),
    ],
)
def test_tags_are_those_of_browsers(html: str, found: list[tuple[str, dict[str, str]]]) -> None:
    assert tags(html) == found


def test_text_is_what_is_shown() -> None:
    html = "<title>no</title>a &lt; b<!-- no --><style>no</style> c < d</p>e"
    assert text(html) == "a < b c < de"


HOSTILE = {
    "nested": "<div>" * 100_000,
    "never ending tags": "<a " * 200_000,
    "never ending quotes": "<a b=\"'" * 100_000,
    "other quotes": "<a b='\"" * 100_000,
    "alternating": "<a b='<a b=\"" * 50_000,
    "comments": "<!--" * 200_000,
    "comments that nearly end": "<!-- --" * 100_000,
    "declarations": "<!" * 200_000,
    "style sheets": "<style>" * 100_000,
    "titles": "<title></titl" * 50_000,
    "signs": "<" * 500_000,
    "ends": "</" * 250_000,
    "equals": "<a " + "=" * 500_000,
    "names": "<a " + "b " * 250_000,
    "spaces": "<a" + " " * 500_000,
    "values": "<a " + "b = " * 100_000,
    "one attribute": f'<img src="{"x" * 1_000_000}">',
    "long name": "<" + "a" * 500_000,
    "entities": "&" * 200_000 + "<b>" + "&#" * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_html_is_read_to_its_end(name: str) -> None:
    found = sum(1 for _ in pieces(HOSTILE[name]))
    assert found <= len(HOSTILE[name])


@given(st.text(alphabet="<>ab=\"'/! -&;", max_size=200))
def test_whatever_it_is_no_character_is_shown_twice(html: str) -> None:
    assert len(text(html)) <= len(html)
