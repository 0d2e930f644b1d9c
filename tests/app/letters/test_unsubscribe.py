"""Where to unsubscribe: which URLs mail programs can use, and the header fields that they stand in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.letters.unsubscribe import Unsubscribe, check_url, read_mailto
from app.mail.headers import check_headers
from app.mail.refusal import Refusal

URL = "https://shop.example/u/8f14e45f"
POST = ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "https://shop.example",
        "https://shop.example:8443/u?x=1&y=%C3%BC",
        "https://a.b.xn--bcher-kva.example/;x,y(z)'!$*@:~",
    ],
)
def test_urls_that_can_be_posted_to_are_taken(url: str) -> None:
    check_url(url)
    check_headers(Unsubscribe(url).fields())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://shop.example/u",
        "mailto:u@shop.example",
        "//shop.example/u",
        "https://",
        "https://localhost/u",
        "https://192.0.2.1/u",
        "https://[2001:db8::1]/u",
        "https://user:pass@shop.example/u",
        "https://shop.example@evil.example/u",
        "https://shop.example/u#part",
        "https://shop.example/ü",
        "https://shop.example/a b",
        "https://shop.example/%zz",
        "https://shop.example/>, <https://evil.example/",
        "https://shop.example/u\r\nBcc: x@evil.example",
        "https://shop.example/u\n",
        "https://shop.example\\u",
        f"https://shop.example/{'x' * 800}",
    ],
)
def test_urls_that_cannot_be_posted_to_are_refused(url: str) -> None:
    with pytest.raises(Refusal):
        check_url(url)


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("leave@shop.example", "mailto:leave@shop.example"),
        ("Leave@Bücher.example", "mailto:Leave@xn--bcher-kva.example"),
        ("a+b&c@shop.example", "mailto:a+b%26c@shop.example"),
        ("büro@shop.example", "mailto:b%C3%BCro@shop.example"),
        ("mailto:leave@shop.example", "mailto:leave@shop.example"),
        (
            "MAILTO:a%26b@shop.example?subject=leave%20it",
            "mailto:a%26b@shop.example?subject=leave%20it",
        ),
    ],
)
def test_an_address_becomes_a_url(given: str, written: str) -> None:
    assert read_mailto(given) == written
    check_headers(Unsubscribe(mailto=written).fields())


@pytest.mark.parametrize(
    "given",
    [
        "",
        "leave",
        "mailto:",
        "mailto:leave@localhost",
        "mailto:a@shop.example,b@shop.example",
        "mailto:a@shop.example?subject=a b",
        "mailto:a@shop.example?x=>,<https://evil.example>",
        "mailto:%0Aa@shop.example",
        "mailto:%ff@shop.example",
        "a@shop.example\r\nBcc: x@evil.example",
        f"mailto:a@shop.example?subject={'x' * 800}",
    ],
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(Refusal):
        read_mailto(given)


def test_one_click_is_said_beside_an_https_url_only() -> None:
    mailto = "mailto:leave@shop.example"
    assert Unsubscribe(mailto=mailto).fields() == (("List-Unsubscribe", f"<{mailto}>"),)
    assert Unsubscribe(URL).fields() == (("List-Unsubscribe", f"<{URL}>"), POST)
    both = (("List-Unsubscribe", f"<{URL}>, <{mailto}>"), POST)
    assert Unsubscribe(URL, mailto).fields() == both
    assert Unsubscribe("", mailto, is_hosted=True).fields(URL) == both


@given(st.text(max_size=60))
def test_no_text_becomes_more_than_one_url_in_one_line(text: str) -> None:
    for read in (lambda: check_url(f"https://shop.example/{text}"), lambda: read_mailto(text)):
        try:
            found = read() or f"https://shop.example/{text}"
        except Refusal:
            continue
        assert not set(found) & set("<> \r\n\0")
        assert found.isascii()
