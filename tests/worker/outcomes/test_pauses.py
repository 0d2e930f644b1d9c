"""How long a site rests after a deferral: by its words, within bounds, and never for less than the site."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.events import Category
from app.mail.reply import Reply, parse_reply
from tests.worker.outcomes.replies import TABLE
from worker.outcomes.classify import Phase, classify
from worker.outcomes.outcome import Outcome, Verdict
from worker.outcomes.pauses import (
    LONGEST,
    RESTS,
    SHORTEST,
    pause_after,
    refuses_address,
    source_pause_after,
)


def rest(said: str) -> timedelta | None:
    return pause_after(parse_reply([said.encode()]))


@pytest.mark.parametrize(
    ("wish", "minutes"),
    [
        ("Try again in 5 minutes", 5),
        ("try in 90 seconds", 1.5),
        ("wait at least 20min", 20),
        ("Retry after about 2 m", 2),
        ("come back in 1 second", 1),
        ("again in 0 seconds", 10),
        ("again in 1 hour", 60),
        ("again in 3 hours", 60),
        ("try in 99999999 seconds", 60),
        ("try in 99999999999999999999 seconds", 10),
        ("try 17 again", 10),
    ],
)
def test_a_stated_time_counts_within_bounds(wish: str, minutes: float) -> None:
    assert rest(f"451 4.7.1 Rate limit exceeded. {wish}") == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "said",
    [
        "450 4.2.0 Greylisted, try again in 10 minutes",
        "451 4.7.1 Greylisting: too many connections from strangers",
        "421 Too many messages in this session",
        "452 4.4.5 Maximum number of messages per session exceeded",
        "452 4.5.3 Too many recipients",
        "452 4.2.2 joe exceeded his storage limit",
        "450 4.2.1 The user you are trying to contact is receiving mail too quickly",
        "421 4.7.32 Rate limited as the From header is not aligned",
        "451 4.3.0 Temporary lookup failure, try again in 10 minutes",
        "450 4.7.1 Later",
    ],
)
def test_what_is_smaller_than_the_site_lets_it_go_on(said: str) -> None:
    assert rest(said) is None


@pytest.mark.parametrize("code", [250, 354, 550, 554, 199, 600])
def test_only_a_deferral_asks_for_rest(code: int) -> None:
    assert pause_after(Reply(code, None, "too many connections, rate limit, [TSS04]")) is None


def test_the_table_of_replies_asks_for_every_rest() -> None:
    assert {row.pause for row in RESTS} <= {said.pause for said in TABLE}


def met(said: str, phase: Phase = Phase.RCPT) -> Outcome:
    reply = parse_reply([said.encode()])
    judgement = classify(reply, phase)
    return Outcome(judgement.verdict, judgement.category, reply, "", None)


@pytest.mark.parametrize(
    ("said", "minutes"),
    [
        ("554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org", 60),
        ("554 5.7.1 Client host [192.0.2.7] blocked using x, try again in 10 minutes", 10),
        ("450 4.7.1 Client host rejected: cannot find your reverse hostname", 5),
        ("451 4.7.650 The mail server [192.0.2.7] has been limited due to IP reputation", 30),
        ("421 4.7.0 Too many connections from your IP", 2),
        ("451 4.7.1 Rate limit exceeded. Try again in 20 minutes", 20),
        ("421 4.3.2 Server busy, try again in 20 minutes", None),
        ("451 4.7.1 Greylisted, try again in 5 minutes", None),
        ("554 5.7.1 Sender address blocked using dbl.spamhaus.org", None),
        ("550 5.7.1 The domain of your address has a poor reputation", None),
        ("550 5.1.1 User unknown", None),
        ("550 5.7.1 Message rejected as spam", None),
    ],
)
def test_a_source_rests_for_what_is_said_of_it_and_not_for_the_rest(
    said: str, minutes: int | None
) -> None:
    pause = None if minutes is None else timedelta(minutes=minutes)
    assert source_pause_after(met(said)) == pause


@pytest.mark.parametrize(
    ("said", "phase", "is_refused"),
    [
        ("554 5.7.1 No spam wanted here", Phase.GREETING, True),
        ("554 5.7.1 No spam wanted here", Phase.RCPT, False),
        ("550 Cannot resolve your reverse DNS", Phase.MAIL, True),
        ("554 Go away", Phase.GREETING, False),
        ("553 Sorry, not from you (#5.7.25)", Phase.RCPT, True),
        ("550 5.1.1 Your IP address has a poor reputation, so nobody lives here", Phase.RCPT, True),
    ],
)
def test_who_refuses_a_session_for_a_bad_name_can_only_mean_the_address(
    said: str, phase: Phase, is_refused: bool
) -> None:
    assert refuses_address(met(said, phase)) is is_refused


def test_no_reply_of_the_table_about_the_recipient_is_taken_for_one_about_the_address() -> None:
    kinds = {Category.RECIPIENT, Category.MAILBOX_FULL, Category.CONTENT, Category.POLICY}
    for said in TABLE:
        outcome = Outcome(said.verdict, said.category, said.reply, "", None)
        assert not (said.category in kinds and refuses_address(outcome)), said.text


@given(
    st.integers(min_value=-1, max_value=1000),
    st.none() | st.text(),
    st.text() | st.from_regex(r"(?i)too many connections (in|after) [0-9]+ ?(s|min|hours)"),
)
def test_any_reply_asks_for_none_or_a_bounded_rest(
    code: int, enhanced: str | None, text: str
) -> None:
    reply = Reply(code, enhanced, text)
    outcome = Outcome(Verdict.UNREACHED, Category.REPUTATION, reply, "", None)
    for pause in (pause_after(reply), source_pause_after(outcome)):
        assert pause is None or SHORTEST <= pause <= LONGEST
