"""Fields that programs read: what they would pass over is refused with what to write instead."""

from __future__ import annotations

import pytest

from app.mail.headers import HeaderError, check_header, check_headers

RIGHT = [
    ("List-Unsubscribe", "<https://shop.example/u?a=1,2&b=%20>"),
    ("List-Unsubscribe", "<mailto:u@shop.example?subject=unsubscribe>,<https://shop.example/u>"),
    (
        "List-Unsubscribe",
        "(Use this) <https://shop.example/u>  ,  <mailto:u@shop.example> (or this)",
    ),
    ("List-Help", "<https://shop.example/help>"),
    ("List-Post", "NO"),
    ("List-Post", "NO (nobody may post)"),
    ("List-Post", "<mailto:list@shop.example>"),
    ("List-Archive", "<https://shop.example/archive>"),
    ("List-Owner", "<mailto:owner@shop.example>"),
    ("List-Subscribe", "<https://shop.example/s>"),
    ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ("List-Id", "<news.shop.example>"),
    ("List-Id", "Shop news <news.shop.example>"),
    ("List-Id", '"News, <daily>" <news.shop.example>'),
    ("List-Id", "=?utf-8?q?Gr=C3=BC=C3=9Fe?= <news.localhost>"),
    ("List-Id", f"<{'a' * 250}.list>"),
    ("Auto-Submitted", "no"),
    ("Auto-Submitted", "auto-generated"),
    ("Auto-Submitted", "Auto-Replied"),
    ("Auto-Submitted", 'auto-notified; owner-email="me@shop.example"'),
    ("Feedback-ID", "spring:1815:news:shop"),
    ("Feedback-ID", "shop"),
    ("Feedback-ID", "::1.eu-west-1.ab/c=:AmazonSES"),
    ("List-Archived-At", "what no RFC knows"),
    ("Precedence", "bulk"),
]

WRONG = [
    ("List-Unsubscribe", "https://shop.example/u", "angle brackets"),
    ("List-Unsubscribe", "<https://shop.example/u> <mailto:u@shop.example>", "commas"),
    ("List-Unsubscribe", "<https://shop.example/u>,", "commas"),
    ("List-Unsubscribe", "<https://shop.example/a b>", "angle brackets"),
    ("List-Unsubscribe", "<shop.example/u>", "angle brackets"),
    ("List-Unsubscribe", "<u@shop.example>", "angle brackets"),
    ("List-Unsubscribe", "NO", "angle brackets"),
    ("List-Help", "help@shop.example", "angle brackets"),
    ("List-Post", "YES", "or NO"),
    ("List-Unsubscribe-Post", "One-Click", "One-Click"),
    ("List-Id", "news.shop.example", "identifier"),
    ("List-Id", "<news>", "identifier"),
    ("List-Id", "<news@shop.example>", "identifier"),
    ("List-Id", "<news.shop.example:3000>", "identifier"),
    ("List-Id", "Shop <a.b.example> <c.d.example>", "identifier"),
    ("List-Id", f"<{'a' * 251}.list>", "identifier"),
    ("Auto-Submitted", "yes", "auto-generated"),
    ("Auto-Submitted", "true", "auto-generated"),
    ("Feedback-ID", "a:b:c:d:e", "four parts"),
    ("Feedback-ID", "a:b:", "four parts"),
    ("Feedback-ID", "my campaign:shop", "four parts"),
    ("References", "a@b.example", "message ids"),
]


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_fields_that_readers_understand_are_taken(name: str, value: str) -> None:
    for spelling in (name, name.lower(), name.upper()):
        check_header(spelling, value)


@pytest.mark.parametrize(("name", "value", "remedy"), WRONG)
def test_fields_that_readers_pass_over_are_refused_with_the_remedy(
    name: str, value: str, remedy: str
) -> None:
    for spelling in (name, name.lower(), name.upper()):
        with pytest.raises(HeaderError, match=remedy):
            check_header(spelling, value)


POST = ("list-Unsubscribe-post", "List-Unsubscribe=One-Click")


@pytest.mark.parametrize(
    "unsubscribe",
    [
        [],
        [("List-Unsubscribe", "<mailto:u@shop.example>")],
        [("List-Unsubscribe", "<http://shop.example/u>")],
        [("List-Unsubscribe", "<https://shop.example/u>, <https://shop.example/v>")],
    ],
)
def test_one_click_needs_one_url_to_post_to(unsubscribe: list[tuple[str, str]]) -> None:
    with pytest.raises(HeaderError, match="exactly one https URL"):
        check_headers([POST, *unsubscribe])


def test_one_click_may_stand_beside_a_mail_address() -> None:
    check_headers([("List-UNSUBSCRIBE", "<mailto:u@shop.example>, <HTTPS://shop.example/u>"), POST])


@pytest.mark.parametrize(
    "piece", ["<", "(", ")", " ", ",", "<a:b>,", "<a:b> ", '"', "\\", ":", ";", "a.", "a"]
)
@pytest.mark.parametrize("name", ["List-Unsubscribe", "List-Id", "Feedback-ID", "Auto-Submitted"])
def test_long_hostile_values_are_judged_at_once(name: str, piece: str) -> None:
    # A pattern that tries every way to split such a value would not come to an end.
    value = (piece * 4_000)[:8_000] + "~ <"
    with pytest.raises(HeaderError):
        check_header(name, value)
