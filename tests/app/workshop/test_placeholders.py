"""Template syntax goes through MJML and the inlining of styles and comes out as it went in."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.workshop.mjml import rendered
from app.workshop.orders import Trouble, WorkshopRefusal
from app.workshop.placeholders import guarded
from app.workshop.styles import inlined

SURVIVES = {
    "text": "<p>{{ name }}</p>",
    "quotes and ampersands": "<p>{{ \"a\" ~ 'b' }} {{ x|default('a & b') }}</p>",
    "comparison": "<p>{% if a < b and c > d %}less{% else %}more{% endif %}</p>",
    "comment": "<p>x{# not < for > you #}</p>",
    "raw": "<p>{% raw %}{{ x }}{% endraw %}</p>",
    "string with an end": "<p>{{ '}}' }} {% if '%}' %}x{% endif %}</p>",
    "link": '<a href="https://x.example/{{ path }}?a={{ a|urlencode }}">x</a>',
    "quotes in a value": '<a title="{{ "x" }}">x</a>',
    "condition in a value": '<a title="{% if a %}x{% else %}y{% endif %}">x</a>',
    "style of an element": '<p style="color: {{ color }}">x</p>',
    "loop over rows": "<table>{% for i in items %}<tr><td>{{ i }}</td></tr>{% endfor %}</table>",
    "loop over items": "<ul>{% for i in items %}<li>{{ i }}</li>{% endfor %}</ul>",
    "conditional comment": "<!--[if mso]>{{ x }}{% if a > b %}y{% endif %}<![endif]-->",
    "whitespace control": "<p>{%- if a -%}x{%- endif -%}{{- y -}}</p>",
    "several lines": "<p>{{\n name\n }}</p>",
}


@pytest.mark.parametrize("html", SURVIVES.values(), ids=SURVIVES.keys())
def test_it_survives_the_inlining_of_styles(html: str) -> None:
    document = f"<html><head></head><body>{html}</body></html>"
    assert inlined(document).text == document
    assert inlined(document).warnings == ()


@pytest.mark.parametrize("html", SURVIVES.values(), ids=SURVIVES.keys())
def test_it_survives_mjml(html: str) -> None:
    piece = rendered(in_mjml(f"<mj-text>{html}</mj-text>"))
    assert html in piece.text
    assert piece.warnings == ()


def in_mjml(inside: str) -> str:
    section = f"<mj-section><mj-column>{inside}</mj-column></mj-section>"
    return f"<mjml><mj-body>{section}</mj-body></mjml>"


def test_attributes_may_depend_on_conditions() -> None:
    html = '<p><img src="{{ src }}" {% if a %}alt="x" width="{{ w }}"{% endif %} {{ more }}>x</p>'
    style = "<style>img{border:0}</style>"
    made = inlined(f"<html><head>{style}</head><body>{html}</body></html>").text
    assert (
        '<img src="{{ src }}" {% if a %}alt="x" width="{{ w }}"{% endif %} {{ more }} style="border: 0;">'
        in made
    )


def test_names_of_elements_may_be_expressions() -> None:
    html = "<html><head></head><body><h{{ level }}>x</h{{ level }}></body></html>"
    assert inlined(html).text == html


def test_values_without_quotes_get_them() -> None:
    made = inlined("<p width={{ w }} title={% if a %}x{% else %}y{% endif %}>x</p>").text
    assert '<p width="{{ w }}" title="{% if a %}x{% else %}y{% endif %}">' in made


def test_a_condition_right_behind_the_name_of_an_element_stays_apart_from_it() -> None:
    made = inlined("<p{% if a %} class='x'{% endif %}>x</p>").text
    assert "<p {% if a %} class='x'{% endif %}>x</p>" in made


def test_expressions_in_style_sheets_are_inlined_with_their_rules() -> None:
    made = inlined("<style>.{{ name }}{color:#{{ hex }}}</style><p class='{{ name }}'>x</p>").text
    assert '<p class="{{ name }}" style="color: #{{ hex }};">x</p>' in made


def test_a_style_sheet_with_statements_stays_as_it_is() -> None:
    sheet = "<style>{% if dark %}.a{color:white} .b{color:red}{% endif %}</style>"
    made = inlined(f"{sheet}<p class='a'>x</p><p class='b'>y</p>").text
    assert sheet in made
    assert '<p class="b">y</p>' in made


def test_syntax_between_the_elements_of_mjml_needs_no_wrapping() -> None:
    section = "<mj-section><mj-column><mj-text>{{ i }}</mj-text></mj-column></mj-section>"
    made = rendered(
        f"<mjml><mj-body>{{% for i in items %}}{section}{{% endfor %}}</mj-body></mjml>"
    ).text
    assert re.search(r"\{% for i in items %\}.*\{\{ i \}\}.*\{% endfor %\}", made, re.DOTALL)


@pytest.mark.parametrize("element", ["mj-title", "mj-preview"])
def test_syntax_in_the_head_of_mjml(element: str) -> None:
    head = f"<mj-head><{element}>{{% if a < b %}}{{{{ x }}}}{{% endif %}}</{element}></mj-head>"
    made = rendered(f"<mjml>{head}<mj-body></mj-body></mjml>").text
    assert ">{% if a < b %}{{ x }}{% endif %}</" in made


def test_attributes_of_mjml_take_expressions() -> None:
    made = rendered(in_mjml('<mj-button href="{{ url }}" color="{{ color }}">{{ x }}</mj-button>'))
    assert '<a href="{{ url }}"' in made.text
    assert "color:{{ color }}" in made.text
    assert made.warnings == ()


def test_an_expression_that_mjml_has_no_use_for_is_told_of() -> None:
    piece = rendered(in_mjml('\n<mj-image src="x" width="{{ w }}px" />'))
    assert piece.warnings == ("line 2: {{ w }} has no effect there; write a plain value",)


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ("<table>\n{% for i in x %}<p>{{ i }}</p>{% endfor %}</table>", "line 2: {% for i in x %}"),
        ("\n\n{{ x", "line 3: `{{`"),
        ("{% if '%} %}", "line 1: `{%`"),
        ("<style>\n@media print{#x{color:red}}</style>", "line 2: `{#`"),
    ],
    ids=["moved out of a table", "expression", "string", "style sheet"],
)
def test_what_cannot_come_out_as_it_went_in_is_refused(html: str, reason: str) -> None:
    with pytest.raises(WorkshopRefusal) as caught:
        inlined(html)
    assert caught.value.trouble is Trouble.INVALID
    assert caught.value.reason.startswith(reason)


def test_a_statement_that_mjml_would_drop_is_refused() -> None:
    with pytest.raises(WorkshopRefusal, match=r"^line 1: \{% if x %\}") as caught:
        rendered(in_mjml('<mj-image {% if x %}alt="q"{% endif %} src="a" />'))
    assert "put it into a value" in caught.value.reason


def test_texts_that_look_like_tokens_are_left_alone() -> None:
    html = "<html><head></head><body><p>pbq0z pbqq1a {{ x }}</p></body></html>"
    assert inlined(html).text == html


_PIECES = st.sampled_from(
    [*"<>\"'= /\n{}%#-x", "{{", "}}", "{%", "%}", "{#", "#}", "<!--", "-->", "<p ", "<style>", "</style>", "<td>"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=40).map("".join))
def test_whatever_is_guarded_can_be_restored(source: str) -> None:
    try:
        guard = guarded(source)
    except WorkshopRefusal:
        return
    # Attributes get the space that keeps them apart; nothing else changes.
    assert guard.restored(guard.text).replace(" ", "") == source.replace(" ", "")
    assert not re.search(r"\{\{|\{%|\{#", guard.text)
