"""Phrases: what fits what, however it is punctuated, and texts that are made to be slow."""

from __future__ import annotations

import pytest

from app.mail.reply import MAX_TEXT, Reply
from worker.outcomes.classify import Phase, classify
from worker.outcomes.pauses import pause_after
from worker.outcomes.phrases import any_of, laid_out


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("user unknown", "Sorry: USER--UNKNOWN."),
        ("user unknown", "<joe@x.example>...user_unknown"),
        ("doesnt exist", "it doesn't exist"),
        ("doesnt exist", "it doesn\N{RIGHT SINGLE QUOTATION MARK}t exist"),
        ("relay*", "Relaying denied"),
        ("*spamhaus*", "see https://www.spamhaus.org/query"),
        ("mailbox * full", "the mailbox full"),
        ("mailbox * full", "mailbox of one two three four five full"),
        ("ip * is blocked", "IP=[192.0.2.7] is blocked"),
    ],
)
def test_a_phrase_fits(phrase: str, text: str) -> None:
    assert any_of("nothing of this", phrase).search(laid_out(text))


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("spam", "antispam"),
        ("spam", "spamming"),
        ("spam", "mx.spam.example"),
        ("spam", "spam@x.example"),
        ("mailbox * full", "mailbox one two three four five six seven full"),
        ("user unknown", "user is unknown"),
    ],
)
def test_a_phrase_does_not_fit(phrase: str, text: str) -> None:
    assert any_of(phrase).search(laid_out(text)) is None


@pytest.mark.parametrize(
    "unit",
    ["mailbox ", "mailbox -.", "ip ", "account -", "a", "*", "@", "..x", ".", " ", "#5.1", "a@b ", "user quota "],
)  # fmt: skip
def test_a_text_that_is_made_to_be_slow_is_judged_all_the_same(unit: str) -> None:
    """Where matching went back and forth over such a text, this would not end."""
    for text in ((unit * MAX_TEXT)[:MAX_TEXT], "mailbox " + unit * 128, "account" + unit * 128):
        for code in (450, 550):
            reply = Reply(code, None, text)
            assert classify(reply, Phase.RCPT).category is not None
            pause_after(reply)
