"""Encoded words, read back for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.words import decode_words, encode_words


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_what_is_encoded_is_decoded_to_itself(text: str) -> None:
    assert decode_words(" ".join(encode_words(text))) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain = ? text =?", "plain = ? text =?"),
        ("=?ISO-8859-1?Q?a?= =?iso-8859-1?q?b=FC?=", "abü"),
        ("=?utf-8*de?b?w7w=?= x =?utf-8?q?_y?=", "ü x  y"),
        ("=?utf-8?q?a?=b=?utf-8?q?c?=", "abc"),
        ("=?no-such-charset?q?a?= b", "=?no-such-charset?q?a?= b"),
        ("=?zip?b?AAAA?=", "=?zip?b?AAAA?="),
        ("=?undefined?q?a?=", "=?undefined?q?a?="),
        ("=?utf-8?b?A?= =?utf-8?q?b?=", "=?utf-8?b?A?= b"),
        ("=?utf-8?q?=C3?=", "\ufffd"),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
    ],
)
def test_words_are_shown_as_they_were_meant(text: str, shown: str) -> None:
    assert decode_words(text) == shown
