"""Text from HTML reads as a person would have written it."""

from __future__ import annotations

import pytest

from app.workshop.mjml import rendered
from app.workshop.plaintext import text_of

_EXAMPLES = {
    "a link shows where it leads": (
        '<p>See <a href="https://x.example/a?b=1&amp;c=2">your order</a>.</p>',
        "See your order (https://x.example/a?b=1&c=2).",
    ),
    "a link that shows it already says it once": (
        '<a href="https://x.example/">x.example</a>, <a href="mailto:a@x.example">a@x.example</a>',
        "x.example, a@x.example",
    ),
    "links within the mail and scripts lead nowhere": (
        '<a href="#top">Up</a> <a href="javascript:alert(1)">Click</a> <a name="x">Here</a>',
        "Up Click Here",
    ),
    "images are what they say": (
        '<img src="a.png" alt="Our shop"> <img src="pixel.gif"> <a href="https://x.example"><img alt="Buy"></a>',
        "Our shop Buy (https://x.example)",
    ),
    "a link without words shows where it leads": (
        '<p><a href="https://x.example/a"><img src="a.png"></a></p>',
        "https://x.example/a",
    ),
    "lists": (
        "<p>We have</p><ul><li>tea</li><li>milk</li></ul><ol><li>first</li><li>second</li></ol>",
        "We have\n\n  * tea\n  * milk\n 1. first\n 2. second",
    ),
    "paragraphs and headings stand apart": (
        "<h1>Hello</h1><p>One<br>two</p><hr><p>Three</p>",
        "Hello\n\nOne\ntwo\n\n--------------------\n\nThree",
    ),
    "tables of data keep their columns": (
        "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Green tea</td><td>9.50</td></tr></table>",
        "Item       Price\nGreen tea  9.50",
    ),
    "tables that place things become lines": (
        "<table><tr><td><table><tr><td>Left</td></tr></table></td><td>Right</td></tr></table>",
        "Left\nRight",
    ),
    "tables that say so place things": (
        '<table role="presentation"><tr><td>Left</td><td>Right</td></tr></table>',
        "Left\nRight",
    ),
    "what is hidden is left out": (
        '<div style="display:none;max-height:0">Preview</div><p style="DISPLAY : NONE">x</p><p hidden>y</p>Hello',
        "Hello",
    ),
    "what is not for reading is left out": (
        "<head><title>t</title><style>p{}</style></head><body><script>x</script><!-- c -->Hello</body>",
        "Hello",
    ),
    "the rest of a comment's line stays": ("a<!-- x -->b<?php y ?>c", "abc"),
    "fillers are left out": ("<p>Hi\u200b\u034f&shy;&#8203;&nbsp;you</p>", "Hi you"),
    "letters of all scripts": (
        "<p>Grüße, мир, 世界, \U0001f600</p>",
        "Grüße, мир, 世界, \U0001f600",
    ),
    "an XML declaration is none of the text": (
        '<?xml version="1.0" encoding="latin-1"?><p>é</p>',
        "é",
    ),
    "another encoding in the head changes nothing": (
        '<html><head><meta charset="latin-1"></head><body>é</body></html>',
        "é",
    ),
    "nothing but comments": ("<!-- x -->", ""),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("html", "text"), _EXAMPLES.values(), ids=_EXAMPLES.keys())
def test_text_from_html(html: str, text: str) -> None:
    assert text_of(html).text == text


def test_a_mail_made_from_mjml_reads_well() -> None:
    mjml = """<mjml><mj-head><mj-preview>Preview</mj-preview></mj-head><mj-body>
    <mj-section><mj-column><mj-image src="a.png" alt="The Shop" /></mj-column></mj-section>
    <mj-section><mj-column><mj-text>Dear Ada,</mj-text><mj-text>your order is on its way.</mj-text>
    <mj-button href="https://shop.example/o/1">Follow it</mj-button></mj-column></mj-section>
    <mj-section><mj-column><mj-text>Left</mj-text></mj-column><mj-column><mj-text>Right</mj-text></mj-column>
    </mj-section></mj-body></mjml>"""
    lines = text_of(rendered(mjml).text).text.split("\n")
    assert [line for line in lines if line] == [
        "The Shop",
        "Dear Ada,",
        "your order is on its way.",
        "Follow it (https://shop.example/o/1)",
        "Left",
        "Right",
    ]


def test_sixty_nested_tables_lose_no_word() -> None:
    html = "<table><tbody><tr><td>" * 60 + "deep" + "</td></tr></tbody></table>" * 60
    assert text_of(html).text == "deep"


def test_many_spaces_before_words_are_read_as_quickly_as_words() -> None:
    # Each of them tried as the beginning of the end of the line, this takes minutes.
    spaces = " " * 400_000
    assert text_of(f"<pre>{spaces}x{spaces}\ny</pre>").text == f"{spaces}x\ny"
