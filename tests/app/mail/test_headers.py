"""Which header fields a caller may add."""

from __future__ import annotations

import pytest

from app.mail.headers import HeaderError, check_header, check_headers, check_message_id, check_text

CONTROLS = [chr(code) for code in [*range(0x20), 0x7F]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Order", "4711"),
        ("X-Order", ""),
        ("X-Order", "Größe  M"),
        ("Comments", "two words"),
        ("List-Unsubscribe", "<https://example.com/u?x=1>, <mailto:u@example.com>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("In-Reply-To", "<a@b.example>"),
        ("References", "<a@b.example>  <c@d.example>"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Mailer-Tag!#$%&'*+.^_`{|}~", "any printable name"),
    ],
)
def test_ordinary_headers_are_taken(name: str, value: str) -> None:
    check_header(name, value)


@pytest.mark.parametrize(
    "name",
    [
        "Bcc",
        "bcc",
        "BCC",
        "Resent-Bcc",
        "Resent-To",
        "From",
        "To",
        "Cc",
        "Reply-To",
        "Subject",
        "Sender",
        "Date",
        "Message-ID",
        "message-id",
        "Return-Path",
        "Received",
        "TLS-Required",
        "Received-SPF",
        "Delivered-To",
        "DKIM-Signature",
        "DKIM-Anything",
        "DomainKey-Signature",
        "ARC-Seal",
        "Authentication-Results",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
        "Content-ID",
        "Apparently-To",
    ],
)
def test_headers_that_are_not_the_callers_are_refused_in_any_case(name: str) -> None:
    for spelling in (name, name.lower(), name.upper(), name.swapcase()):
        with pytest.raises(HeaderError, match=r"use|leave it out"):
            check_header(spelling, "x@example.com")


@pytest.mark.parametrize(
    "name",
    ["", "X Order", "X-Order:", "X:Y", "X-Größe", "X-Order ", " Bcc", "Bcc ", "Bcc\t", "\ud800"],
)
def test_names_outside_the_grammar_are_refused(name: str) -> None:
    with pytest.raises(HeaderError, match="printable ASCII"):
        check_header(name, "x")


@pytest.mark.parametrize("control", CONTROLS)
def test_every_control_character_is_refused_in_names_and_values(control: str) -> None:
    with pytest.raises(HeaderError, match="control character"):
        check_header("X-Order", f"a{control}b")
    with pytest.raises(HeaderError, match="control character"):
        check_text(f"Hello{control}")
    with pytest.raises(HeaderError, match="printable ASCII"):
        check_header(f"X-{control}Order", "a")


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(HeaderError, match=r"lone surrogate U\+DC80"):
        check_header("X-Order", "a\udc80")


def test_lengths_are_limited() -> None:
    check_header("X" * 50, "v" * 8192)
    with pytest.raises(HeaderError, match="longer than 50"):
        check_header("X" * 51, "v")
    with pytest.raises(HeaderError, match="longer than 8192"):
        check_header("X-Order", "v" * 8193)
    with pytest.raises(HeaderError, match="without a space"):
        check_header("List-Unsubscribe", f"<https://example.com/{'u' * 900}>")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("List-Unsubscribe", "<https://example.com/ü>"),
        ("List-Id", ""),
        ("References", "a@b.example"),
        ("In-Reply-To", "<a b@c.example>"),
        ("In-Reply-To", "<a@b.example>,<c@d.example>"),
        ("References", "<a@b.example"),
    ],
)
def test_fields_with_a_grammar_have_to_follow_it(name: str, value: str) -> None:
    with pytest.raises(HeaderError):
        check_header(name, value)


def test_what_may_stand_once_is_refused_twice() -> None:
    check_headers([("X-Tag", "a"), ("x-tag", "b")])
    with pytest.raises(HeaderError, match="given twice"):
        check_headers(
            [
                ("List-Unsubscribe", "<https://a.example>"),
                ("list-unsubscribe", "<https://b.example>"),
            ]
        )


@pytest.mark.parametrize(
    "message_id",
    ["", "a", "<a@b.example>", "a@b@c", "a b@c", "a@b\r\n", "ä@b.example", "a@" + "b" * 900],
)
def test_message_ids_without_the_form_are_refused(message_id: str) -> None:
    with pytest.raises(HeaderError, match="id@host"):
        check_message_id(message_id)
