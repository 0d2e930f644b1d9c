"""SMTP replies: strict in their grammar, harmless in their text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.reply import Reply, ReplySyntaxError, parse_reply


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        ([b"250 OK"], Reply(250, None, "OK")),
        ([b"250"], Reply(250, None, "")),
        ([b"250 "], Reply(250, None, "")),
        ([b"354 Go ahead"], Reply(354, None, "Go ahead")),
        ([b"250 2.1.5 fine\r\n"], Reply(250, "2.1.5", "fine")),
        ([b"550 5.1.1"], Reply(550, "5.1.1", "")),
        (
            [b"550-5.1.1 No such", b"550-5.1.1 user", b"550 5.1.1 here"],
            Reply(550, "5.1.1", "No such user here"),
        ),
        ([b"250-first", b"250-", b"250"], Reply(250, None, "first")),
        ([b"550 5.7.606 banned"], Reply(550, "5.7.606", "banned")),
        ([b"421 4.7.0 Try again"], Reply(421, "4.7.0", "Try again")),
    ],
)
def test_replies_are_read(lines: list[bytes], reply: Reply) -> None:
    assert parse_reply(lines) == reply


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"250 5.1.1 odd", "5.1.1 odd"),
        (b"550 2.0.0 odd", "2.0.0 odd"),
        (b"354 3.0.0 odd", "3.0.0 odd"),
        (b"550 5.1.1.1 odd", "5.1.1.1 odd"),
        (b"550 5.1 odd", "5.1 odd"),
        (b"550 5.1.1000 odd", "5.1.1000 odd"),
        (b"550 5.01.1 odd", "5.01.1 odd"),
        (b"550 15.1.1 odd", "15.1.1 odd"),
    ],
)
def test_an_enhanced_code_that_contradicts_or_is_malformed_stays_text(
    line: bytes, text: str
) -> None:
    reply = parse_reply([line])
    assert (reply.enhanced, reply.text) == (None, text)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b""],
        [b"OK"],
        [b"25"],
        [b"25 OK"],
        [b"2200 OK"],
        [b"000 OK"],
        [b"150 OK"],
        [b"199 OK"],
        [b"260 OK"],
        [b"600 OK"],
        [b"999 OK"],
        [b"-12 OK"],
        [b"+25 OK"],
        [b" 250 OK"],
        [b"250\tOK"],
        [b"250_OK"],
        [b"2\xb50 OK"],
        ["２５０ OK".encode()],
        [b"250-more to come"],
        [b"250 OK", b"250 OK"],
        [b"250-OK", b"251 OK"],
        [b"250-OK", b"550 no"],
        [b"250-OK", b""],
    ],
)
def test_what_is_no_reply_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(ReplySyntaxError) as refused:
        parse_reply(lines)
    assert refused.value.reason


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"\x1b[31mred", r"\x1b[31mred"),
        (b"a\rb\nc\0d\x7f", r"a\rb\nc\x00d\x7f"),
        (b"a\tb", r"a\tb"),
        ("a\u2028b\u2029c\x85d\x9be".encode(), r"a\u2028b\u2029c\x85d\x9be"),
        ("a\u202eb\u2066c".encode(), r"a\u202eb\u2066c"),
        (b"bad \xff\xfe octets", "bad \ufffd\ufffd octets"),
        (b"\xed\xa0\x80 surrogate", "\ufffd\ufffd\ufffd surrogate"),
        ("Größe 日本語 🎉".encode(), "Größe 日本語 🎉"),
        (b'<script>"', '<script>"'),
    ],
)
def test_texts_are_valid_and_cannot_act(octets: bytes, text: str) -> None:
    assert parse_reply([b"550 " + octets]).text == text


@pytest.mark.parametrize(
    "octets", [b"x" * 40_000, "ü".encode() * 20_000, b"x" + "日".encode() * 20_000, b"\0" * 40_000]
)
def test_texts_are_cut_at_one_kilobyte_between_characters(octets: bytes) -> None:
    text = parse_reply([b"550-" + octets, b"550 " + octets]).text
    assert 1020 <= len(text.encode()) <= 1024
    assert "\ufffd" not in text


@given(
    st.lists(
        st.binary(max_size=60) | st.binary(max_size=60).map(lambda octets: b"250-" + octets),
        max_size=4,
    )
)
def test_any_octets_give_a_reply_that_can_be_stored_or_a_clear_refusal(lines: list[bytes]) -> None:
    try:
        reply = parse_reply(lines)
    except ReplySyntaxError:
        return
    assert 200 <= reply.code <= 559
    assert json.loads(json.dumps(reply.text)) == reply.text
    assert reply.text.isprintable() or not reply.text.isascii()
