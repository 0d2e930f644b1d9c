"""Who is told of whom, and of what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ids import DrainId, MessageId
from app.mail.reply import Reply
from app.messages import Field, Message, OnUnknown, RecipientState, Status, Stream
from app.spool.workers.claims import MailClaim, MailLane
from app.spool.workers.lanes import Settlement
from app.spool.workers.reports import Notice
from tests.fakes.letters import PROJECT
from tests.worker.reports.told import NOW, failed, late, message, state
from worker.outcomes.outcome import Outcome, Verdict
from worker.reports.notices import subjects, unspeakable, with_reports
from worker.settle import Terms, settlement_of

TERMS = Terms(
    now=NOW,
    roll=0.5,
    retry_after=(timedelta(minutes=1),),
    jitter=0.1,
    most_interruptions=6,
    lane_wait=timedelta(seconds=30),
    second_look=timedelta(minutes=15),
    on_unknown=OnUnknown.HOLD,
)
BOUNCED = state(Status.BOUNCED)
WAITING = RecipientState(
    Status.DEFERRED, last=state(Status.DEFERRED, Reply(451, "4.3.0", "Later")).last
)


def settled(
    told: Message, *outcomes: Outcome, before: RecipientState = WAITING
) -> Sequence[Settlement]:
    """Settle a claim on all recipients of a message."""
    indexes = tuple(range(len(told.recipients)))
    lane = MailLane(PROJECT, Stream.TRANSACTIONAL, "example.org")
    claim = MailClaim(lane, DrainId("drn_1"), 1, 0, indexes, told, b"", (before,) * len(indexes))
    settlements = [settlement_of(claim, n, outcome, TERMS) for n, outcome in enumerate(outcomes)]
    return with_reports(claim, settlements)


def outcome(verdict: Verdict, *, in_doubt: bool = False) -> Outcome:
    return Outcome(verdict, None, None, "what happened", None, in_doubt)


def told_of(notice: Notice) -> list[set[str]]:
    """Return the addresses that each report names."""
    recipients = notice.message.recipients
    return [{recipients[index].address for index in each.states} for each in subjects(notice)]


@pytest.mark.parametrize(
    ("tried", "is_reported"),
    [
        (outcome(Verdict.BOUNCED), True),
        (outcome(Verdict.EXPIRED), True),
        (outcome(Verdict.LOST, in_doubt=True), True),
        (outcome(Verdict.DELIVERED), False),
        (outcome(Verdict.DEFERRED), False),
        (outcome(Verdict.INTERRUPTED), False),
    ],
)
def test_what_ends_without_delivery_is_reported_and_nothing_else(
    tried: Outcome, is_reported: bool
) -> None:
    (settlement,) = settled(message("ann@example.org"), tried)
    assert (settlement.reported is not None) == is_reported


@pytest.mark.parametrize(
    "told",
    [
        message("ann@example.org", report_to=None),
        message("ann@example.org", mail_from=""),
        replace(
            message("ann@example.org", report_to=None, mail_from=""), reports_on=MessageId("msg_1")
        ),
    ],
    ids=["nobody asked", "null return path", "a report itself"],
)
def test_nothing_is_reported_where(told: Message) -> None:
    (settlement,) = settled(told, outcome(Verdict.BOUNCED))
    assert settlement.reported is None
    assert subjects(failed(told, BOUNCED)) == ()
    assert subjects(late(told, WAITING)) == ()


def test_a_message_whose_time_ended_is_reported_in_the_last_words_of_the_receiver() -> None:
    (settlement,) = settled(message("ann@example.org"), outcome(Verdict.EXPIRED))
    assert settlement.reported is not None
    assert settlement.reported.status is Status.EXPIRED
    assert settlement.reported.last == WAITING.last
    # What happened now stands in the history, as ever.
    assert settlement.state.last != WAITING.last


def test_several_recipients_that_everybody_sees_stand_in_one_report() -> None:
    told = message("ann@example.org", "bob@example.org")
    assert told_of(failed(told, BOUNCED, BOUNCED)) == [{"ann@example.org", "bob@example.org"}]


def test_lateness_is_told_only_of_those_that_are_still_under_way() -> None:
    told = message("ann@example.org", "bob@example.org", "cat@example.org")
    notice = late(told, state(Status.DELIVERED), WAITING, RecipientState())
    assert told_of(notice) == [{"bob@example.org", "cat@example.org"}]
    assert told_of(late(told, *[state(Status.DELIVERED)] * 3)) == []


def test_each_recipient_in_bcc_has_a_report_of_its_own() -> None:
    told = message("ann@example.org", bcc=["eve@example.org", "zoe@example.org"])
    notice = failed(told, BOUNCED, BOUNCED, BOUNCED)
    assert told_of(notice) == [{"ann@example.org"}, {"eve@example.org"}, {"zoe@example.org"}]
    assert len({each.key for each in subjects(notice)}) == 3


def test_another_recipient_is_not_told_of_one_in_bcc_but_the_author_is() -> None:
    hidden = ["eve@example.org"]
    told = message("ann@example.org", bcc=hidden, report_to="Ann@example.org")
    assert told_of(failed(told, BOUNCED, BOUNCED)) == [{"ann@example.org"}]
    told = message(
        "boss@example.org", bcc=hidden, report_to="boss@example.org", mail_from="boss@example.org"
    )
    assert told_of(failed(told, state(Status.DELIVERED), BOUNCED)) == [{"eve@example.org"}]


def test_recipients_with_copies_of_their_own_have_reports_of_their_own() -> None:
    told = message("ann@example.org", "bob@example.org", is_merged=True)
    notice = late(told, WAITING, WAITING)
    assert told_of(notice) == [{"ann@example.org"}, {"bob@example.org"}]
    assert [unspeakable(told, each) for each in subjects(notice)] == [
        ("bob@example.org",),
        ("ann@example.org",),
    ]


def test_one_with_a_copy_of_its_own_is_not_told_of_the_others() -> None:
    told = message(
        "ann@example.org", "bob@example.org", report_to="ann@example.org", is_merged=True
    )
    assert told_of(failed(told, BOUNCED, BOUNCED)) == [{"ann@example.org"}]


ADDRESSES = st.sampled_from([f"{name}@example.org" for name in ("ann", "bob", "eve", "zoe")])


@given(
    to=st.lists(ADDRESSES, max_size=3),
    bcc=st.lists(ADDRESSES, max_size=3),
    reader=ADDRESSES,
    is_late=st.booleans(),
)
def test_no_report_shows_a_recipient_in_bcc_to_another(
    to: list[str], bcc: list[str], reader: str, is_late: bool
) -> None:
    seen = tuple(dict.fromkeys(to))
    hidden = [each for each in dict.fromkeys(bcc) if each not in seen]
    told = message(*seen, bcc=hidden, report_to=reader)
    states = (WAITING if is_late else BOUNCED,) * len(told.recipients)
    notice = late(told, *states) if is_late else failed(told, *states)
    addresses = {recipient.address for recipient in told.recipients}
    for subject in subjects(notice):
        named = [told.recipients[index] for index in subject.states]
        if any(recipient.field is Field.BCC for recipient in named):
            assert len(named) == 1
            assert reader == named[0].address or reader not in addresses
        assert set(unspeakable(told, subject)) == set(hidden) - {each.address for each in named}
    assert {each for group in told_of(notice) for each in group} >= set(seen)
