"""Templating: what a template may say, what it comes to, and how it is told what is wrong with it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest
from app.letters.language.grammar import FILTERS, TESTS
from app.letters.templating import Part, Pattern, Patterns
from app.letters.values import MAX_BYTES, MAX_DEPTH, pack, unpack

ORDER: dict[str, object] = {
    "name": "Ada <Lovelace>",
    "order": {
        "id": 1815,
        "lines": [{"title": "Engine", "price": 0.1}, {"title": "Loom", "price": 2}],
    },
    "vip": True,
    "note": None,
    "tags": ["a", "b"],
    "sent": "2030-01-31T09:30:00Z",
}


def filled(source: str, part: Part = Part.TEXT, values: dict[str, object] = ORDER) -> str:
    return Patterns().fill({part: source}, pack(values))[part]


def refused(
    source: str, part: Part = Part.TEXT, values: dict[str, object] = ORDER
) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        filled(source, part, values)
    return [(field.pointer, field.code) for field in caught.value.fields]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hello {{ name }}!\n", "Hello Ada <Lovelace>!\n"),
        ("{{ order.id }} {{ order['id'] }} {{ order.lines[0].title }}", "1815 1815 Engine"),
        ("{% for line in order.lines %}{{ loop.index }}:{{ line.title }} {% endfor %}", "1:Engine 2:Loom "),
        ("{% if vip and not note %}yes{% elif name %}no{% else %}?{% endif %}", "yes"),
        ("{% for a in [] %}x{% else %}none{% endfor %}", "none"),
        ("{% for name, value in order|dictsort if name == 'id' %}{{ name }}={{ value }}{% endfor %}", "id=1815"),
        ("{% set both = name ~ '/' ~ order.id %}{{ both }}", "Ada <Lovelace>/1815"),
        ("{{ missing|default('friend') }} {{ order.more|d('') }}", "friend "),
        ("{{ 'known' if name is defined else 'unknown' }} {{ missing is defined }}", "known false"),
        ("[{{ note }}] {{ vip }} {{ 1.5 }}", "[] true 1.5"),
        ("{{ tags|join(', ') }} {{ tags|length }} {{ 'a' in tags }} {{ 2 in [1, 2] }}", "a, b 2 true true"),
        ("{{ order.lines[0].price|times(3) }} {{ 1|plus('0.25') }} {{ 7 // 2 }} {{ 7 - 2 }}", "0.3 1.25 3 5"),
        ("{{ sent|date }} {{ sent|date('%A %d.%m.%Y %H:%M, %b %-I %p %%') }}",
         "31 January 2030 Thursday 31.01.2030 09:30, Jan 9 AM %"),
        ("{{ 'abcdef'|truncate(4) }} {{ 'abc'|truncate(3) }} {{ 'abcd'|truncate(3, ending='') }}", "abc… abc abc"),
        ("{# {{ nothing }} #}{% raw %}{{ name }}{% endraw %}", "{{ name }}"),
        ("a\n  {%- if vip -%}  b {%- endif %} c", "ab c"),
        ("{{ name|upper|replace('<', '[') }}", "ADA [LOVELACE>"),
    ],
)  # fmt: skip
def test_template_comes_to_its_text(source: str, text: str) -> None:
    assert filled(source) == text


def test_values_are_escaped_in_html_and_amp_and_nowhere_else() -> None:
    for part, name in (
        (Part.HTML, "&lt;b&gt;"), (Part.AMP, "&lt;b&gt;"), (Part.TEXT, "<b>"), (Part.SUBJECT, "<b>"),
    ):  # fmt: skip
        assert filled("<i>{{ v }}</i>", part, {"v": "<b>"}) == f"<i>{name}</i>"
    assert filled("{{ v|safe }}", Part.HTML, {"v": "<b>"}) == "<b>"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.starts: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.starts.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


# What HTML itself takes for the end of a line is one for every reader.
_VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))


@given(
    _VALUES | st.sampled_from(["<b>", "</p>", "&amp;", "&lt", "\"'> x=y", "<!--", "]]>", "{{ x }}"])
)
def test_any_value_comes_back_from_html_and_adds_nothing(value: str) -> None:
    reader = _Reader()
    reader.feed(filled('<p title="{{ v }}">{{ v }}</p>', Part.HTML, {"v": value}))
    reader.close()
    assert reader.starts == [("p", [("title", value)])]
    assert reader.text == value


def test_all_missing_variables_of_all_parts_are_named_at_once() -> None:
    sources = {
        Part.SUBJECT: "{{ a }}",
        Part.HTML: "é {{ a }}{{ order.b.c }}{% for row in rows %}{{ row.d }}{% endfor %}{{ e|date }}",
        Part.TEXT: "{% if vip %}{{ f['g/h'] }}{% else %}{{ not_needed }}{% endif %}{{ i|default('') }}"
        "{{ j.k|d(1) }}",
    }
    with pytest.raises(InvalidRequest) as caught:
        Patterns().fill(sources, pack(ORDER))
    assert {(field.pointer, field.code) for field in caught.value.fields} == {
        (f"/variables/{name}", "missing_variable")
        for name in ("a", "order/b/c", "rows", "e", "f/g~1h", "j")
    }


def test_when_very_many_are_missing_fifty_are_named() -> None:
    source = "".join(f"{{{{ v{number} }}}}" for number in range(100))
    assert refused(source) == [
        (f"/variables/v{number}", "missing_variable") for number in range(50)
    ]


def test_filter_that_fails_is_not_blamed_on_what_another_branch_lacks() -> None:
    source = "{% if not vip %}{{ missing }}{% endif %}{{ name|date }}"
    assert refused(source) == [("/text", "template_failed")]


@pytest.mark.parametrize("name", ["items", "keys", "get", "clear", "__class__", "_lacks_items"])
def test_method_of_an_object_is_a_missing_field(name: str) -> None:
    assert refused(f"{{{{ order.{name} }}}}") == [(f"/variables/order/{name}", "missing_variable")]
    assert filled(f"{{{{ order.{name}|default('-') }}}}") == "-"
    assert filled(f"{{{{ order.{name} }}}}", values={"order": {name: "field"}}) == "field"


def test_what_rows_lack_is_named() -> None:
    source = "{% for line in order.lines %}\n{{ line.size }}{% endfor %}"
    with pytest.raises(InvalidRequest, match=r"line\.size"):
        filled(source)
    assert refused(source) == [("/variables", "missing_variable")]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a\n{{ name|nope }}", ["line 2", "'nope'", "upper"]),
        ("{{ name is nope }}", ["'nope'", "defined"]),
        ("a\n\n{% if name %}", ["line 3", "expected end of block"]),
        ("{% endif %}", ["line 1"]),
        ("a\n{{ name }", ["line 2", "brace"]),
        ("{{ name", ["not closed", "}}"]),
        ("{# name", ["#}"]),
        ("{% raw %}{{", ["endraw"]),
        ("{{ a * b }}", ["times"]),
        ("{{ a + b }}", ["plus"]),
        ("{{ a.b() }}", ["b cannot be called"]),
        ("{% macro a() %}", ["macro", "not offered"]),
        ("{% set a %}x{% endset %}", ["{% set name = value %}"]),
        ("{% for a.b in c %}", ["for"]),
        ("{{ [1, [2]] }}", ["list"]),
        ("{{ (1, 2) }}", ["`,`"]),
        ("{{ a = 1 }}", ["`=`"]),
        ("{{ größe }}", ["line 1"]),
        ("{{ a ! b }}", ["'!'"]),
    ],
)  # fmt: skip
def test_flaw_is_told_with_its_line_and_a_remedy(source: str, words: list[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Pattern(Part.HTML, source)
    (field,) = caught.value.fields
    assert (field.pointer, field.code) == ("/html", "invalid_template")
    assert all(word in field.detail for word in words), field.detail


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("{{ order }}", "join"),
        ("{{ tags }}", "join"),
        ("{{ 1 // 0 }}", "line 1"),
        ("a\n{{ tags[9] }}", "line 2"),
        ("{{ name|date }}", "2030-01-31T09:30:00Z"),
        ("{{ sent|date('%Q') }}", "%Q"),
        ("{{ name|times(2) }}", "numbers"),
        ("{{ name|truncate(0) }}", "room"),
        ("{{ vip|truncate }}", "a text"),
        ("{% for a in vip %}{% endfor %}", "not iterable"),
    ],
)
def test_failure_of_a_rendering_is_told(source: str, word: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        filled(source)
    (field,) = caught.value.fields
    assert (field.pointer, field.code) == ("/text", "template_failed")
    assert word in field.detail


@pytest.mark.parametrize(
    ("part", "value", "code"),
    [
        (Part.SUBJECT, "Hi\r\nBcc: eve@example.com", "control_character"),
        (Part.SUBJECT, "\x7f", "control_character"),
        (Part.SUBJECT, "x" * 999, "too_long"),
        (Part.TEXT, "\0", "control_character"),
        (Part.HTML, "\0", "control_character"),
    ],
)
def test_rendered_part_is_checked_like_a_written_one(part: Part, value: str, code: str) -> None:
    assert refused("{{ v }}", part, {"v": value}) == [(f"/{part}", code)]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("\ud800", "lone_surrogate"),
        ({"\udfff": 1}, "lone_surrogate"),
        (float("inf"), "invalid_value"),
        ([float("nan")], "invalid_value"),
        ("x" * MAX_BYTES, "too_long"),
    ],
)
def test_values_that_no_mail_can_hold_are_refused(value: object, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        pack({"v": value})
    assert [(field.pointer, field.code) for field in caught.value.fields] == [("/variables", code)]


def test_values_may_be_nested_so_deep_and_no_deeper() -> None:
    most: object = 1
    for _ in range(MAX_DEPTH - 1):
        most = [most]
    assert unpack(pack({"v": most})) == {"v": most}
    with pytest.raises(InvalidRequest) as caught:
        pack({"v": [most]})
    assert [field.code for field in caught.value.fields] == ["too_deep"]


def test_pattern_names_the_variables_that_it_needs() -> None:
    source = (
        "{{ b.c }}{{ a }}{{ b['c'] }}{{ d|default('') }}{% set e = f %}{{ e }}{% if g is defined %}{% endif %}"
        "{% for h in i.j %}{{ h.k }}{{ loop.last }}{% endfor %}{{ h }}{{ l|join(sep=m) }}{{ o.p|d(1) }}"
        "{% raw %}{{ n }}{% endraw %}"
    )
    assert Pattern(Part.TEXT, source).needs == ("b.c", "a", "f", "i.j", "h", "l", "m", "o")


def test_patterns_are_kept_within_bounds_and_the_oldest_go_first() -> None:
    patterns = Patterns(most_bytes=100_000)
    first = patterns.compiled(Part.TEXT, "first")
    assert patterns.compiled(Part.TEXT, "first") is first
    assert patterns.compiled(Part.HTML, "first") is not first
    for number in range(10):
        patterns.compiled(Part.TEXT, f"{number}")
    assert patterns.compiled(Part.TEXT, "9") is patterns.compiled(Part.TEXT, "9")
    assert patterns.compiled(Part.TEXT, "first") is not first


def test_page_for_people_names_every_filter_and_test() -> None:
    page = (Path(__file__).parents[3] / "docs" / "templates.md").read_text()
    for word, names in (("Filters", FILTERS), ("Tests", TESTS)):
        listed = page.partition(f"{word}: ")[2].split("`. " if word == "Filters" else "`, as")[0]
        assert set(re.findall(r"\w+", listed)) == names
