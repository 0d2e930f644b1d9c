from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.events import Category, EventType, Peer, SuppressionReason
from app.ids import DrainId
from app.mail.reply import Reply
from app.messages import TRANSITIONS, OnUnknown, RecipientState, Status, Stream, Suppression
from app.spool.workers.claims import MailClaim, MailLane
from tests.fakes.letters import PROJECT, Letter
from worker.outcomes.outcome import Outcome, Verdict
from worker.settle import Terms, decide, settlement_of, site_worked

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
TERMS = Terms(
    now=NOW,
    roll=0.5,
    retry_after=(timedelta(minutes=1), timedelta(minutes=5)),
    jitter=0.1,
    most_interruptions=6,
    lane_wait=timedelta(seconds=30),
    second_look=timedelta(minutes=15),
)
HOLD = replace(TERMS, on_unknown=OnUnknown.HOLD)
WAIT = timedelta(hours=3)
PEER = Peer("mx.example.org", "192.0.2.1")


def outcome(verdict: Verdict, *, in_doubt: bool = False) -> Outcome:
    reply = Reply(451, "4.7.1", "come back later") if verdict is Verdict.DEFERRED else None
    return Outcome(verdict, Category.POLICY, reply, "what happened", PEER, in_doubt)


def claim(state: RecipientState, lives: timedelta = timedelta(hours=1)) -> MailClaim:
    message = Letter(lives=lives, created_at=NOW).message()
    lane = MailLane(PROJECT, Stream.TRANSACTIONAL, "example.org")
    return MailClaim(lane, DrainId("drn_1"), 1, 0, (0,), message, b"", (state,))


@pytest.mark.parametrize(
    ("verdict", "status", "attempts", "wait"),
    [
        (Verdict.DELIVERED, Status.DELIVERED, 1, None),
        (Verdict.BOUNCED, Status.BOUNCED, 1, None),
        (Verdict.EXPIRED, Status.EXPIRED, 0, None),
        (Verdict.SUPPRESSED, Status.SUPPRESSED, 0, None),
        (Verdict.DEFERRED, Status.DEFERRED, 1, timedelta(minutes=1)),
        (Verdict.INSECURE, Status.DEFERRED, 1, timedelta(minutes=1)),
        (Verdict.UNREACHED, Status.DEFERRED, 0, timedelta(0)),
    ],
)
def test_each_verdict_has_its_consequence(
    verdict: Verdict, status: Status, attempts: int, wait: timedelta | None
) -> None:
    decision = decide(outcome(verdict), RecipientState(), TERMS)
    assert (decision.status, decision.attempts, decision.wait) == (status, attempts, wait)


def test_waits_follow_the_schedule_and_its_last_one_repeats() -> None:
    waits = [
        decide(outcome(Verdict.DEFERRED), RecipientState(attempts=n), TERMS).wait for n in range(4)
    ]
    assert waits == [timedelta(minutes=m) for m in (1, 5, 5, 5)]


def test_a_mail_that_our_stopping_worker_did_not_send_is_put_back_without_a_trace() -> None:
    state = RecipientState(Status.DEFERRED, attempts=2)
    settlement = settlement_of(claim(state), 0, outcome(Verdict.INTERRUPTED), TERMS)
    assert (settlement.state, settlement.wait, settlement.event) == (state, timedelta(0), None)


def test_a_lost_worker_is_told_and_counted_but_is_no_attempt() -> None:
    lost = outcome(Verdict.LOST, in_doubt=True)
    settlement = settlement_of(claim(RecipientState()), 0, lost, TERMS)
    assert (settlement.state.attempts, settlement.state.interruptions) == (0, 1)
    assert settlement.wait == timedelta(0)
    assert settlement.event is not None
    assert settlement.event.delivery is not None
    assert settlement.event.delivery.in_doubt


def test_a_message_that_keeps_losing_workers_is_held_back() -> None:
    lost = outcome(Verdict.LOST, in_doubt=True)
    waits = [decide(lost, RecipientState(interruptions=n), TERMS).wait for n in range(4)]
    assert waits == [timedelta(minutes=m) for m in (0, 1, 5, 5)]


def test_a_lost_worker_that_sent_nothing_leaves_no_doubt() -> None:
    settlement = settlement_of(claim(RecipientState()), 0, outcome(Verdict.LOST), HOLD)
    assert (settlement.state.status, settlement.state.interruptions) == (Status.DEFERRED, 1)
    assert settlement.event is not None
    assert settlement.event.delivery is not None
    assert not settlement.event.delivery.in_doubt


@pytest.mark.parametrize("verdict", [Verdict.DEFERRED, Verdict.LOST])
@pytest.mark.parametrize("status", [Status.QUEUED, Status.DEFERRED])
def test_what_may_have_arrived_ends_as_unknown_where_the_message_asks_for_it(
    verdict: Verdict, status: Status
) -> None:
    in_doubt = outcome(verdict, in_doubt=True)
    settlement = settlement_of(claim(RecipientState(status)), 0, in_doubt, HOLD)
    assert (settlement.state.status, settlement.state.attempts) == (Status.UNKNOWN, 1)
    assert settlement.wait is None
    assert settlement.event is not None
    assert settlement.event.type is EventType.UNKNOWN
    assert settlement.event.delivery is not None
    assert settlement.event.delivery.final


@pytest.mark.parametrize(("in_doubt", "end"), [(True, Status.UNKNOWN), (False, Status.BOUNCED)])
def test_a_message_that_lost_too_many_workers_is_given_up_and_says_why(
    in_doubt: bool, end: Status
) -> None:
    lost = outcome(Verdict.LOST, in_doubt=in_doubt)
    settlement = settlement_of(claim(RecipientState(interruptions=5)), 0, lost, TERMS)
    assert (settlement.state.status, settlement.wait) == (end, None)
    assert settlement.event is not None
    delivery = settlement.event.delivery
    assert delivery is not None
    assert (delivery.final, delivery.in_doubt) == (True, in_doubt)
    assert "6 workers were lost" in delivery.text


@pytest.mark.parametrize("verdict", [Verdict.DEFERRED, Verdict.UNREACHED])
def test_what_would_wait_beyond_its_end_expires_instead(verdict: Verdict) -> None:
    late = replace(TERMS, now=NOW + timedelta(hours=2))
    settlement = settlement_of(claim(RecipientState()), 0, outcome(verdict), late)
    assert settlement.state.status is Status.EXPIRED
    assert settlement.wait is None
    assert settlement.event is not None
    assert settlement.event.type is EventType.EXPIRED


def test_the_event_of_a_deferral_says_what_was_answered_and_when_it_is_tried_again() -> None:
    settlement = settlement_of(claim(RecipientState()), 0, outcome(Verdict.DEFERRED), TERMS)
    assert settlement.event is not None
    delivery = settlement.event.delivery
    assert delivery is not None
    assert delivery.reply == Reply(451, "4.7.1", "come back later")
    assert (delivery.peer, delivery.final) == (PEER, False)
    assert delivery.next_attempt_at == NOW + timedelta(minutes=1)


def test_trouble_of_a_site_names_the_end_of_the_lanes_rest_as_the_next_try() -> None:
    settlement = settlement_of(claim(RecipientState()), 0, outcome(Verdict.UNREACHED), TERMS)
    assert settlement.state.due_at == NOW + TERMS.lane_wait


def test_a_domain_that_does_not_exist_bounces_only_when_a_second_look_finds_the_same() -> None:
    unknown = replace(outcome(Verdict.BOUNCED), reply=None, needs_second_look=True)
    first = settlement_of(claim(RecipientState()), 0, unknown, TERMS)
    assert (first.state.status, first.wait) == (Status.DEFERRED, timedelta(minutes=15))
    second = settlement_of(claim(first.state), 0, unknown, TERMS)
    assert second.state.status is Status.BOUNCED


def test_a_claim_that_found_no_place_at_its_site_is_put_back_without_a_trace() -> None:
    state = RecipientState(Status.DEFERRED, attempts=2)
    settlement = settlement_of(claim(state), 0, outcome(Verdict.HELD), TERMS)
    assert (settlement.state, settlement.wait, settlement.event) == (state, timedelta(0), None)


def test_a_recipient_that_no_source_takes_yet_waits_and_why_is_told_once() -> None:
    waiting = Outcome(Verdict.WAITING, Category.LOCAL, None, "all full", None, wait=WAIT)
    first = settlement_of(claim(RecipientState(), lives=5 * WAIT), 0, waiting, TERMS)
    assert (first.state.status, first.state.attempts, first.wait) == (Status.DEFERRED, 0, WAIT)
    assert first.event is not None
    assert first.event.delivery is not None
    assert first.event.delivery.next_attempt_at == NOW + WAIT
    later = replace(TERMS, now=NOW + WAIT)
    again = settlement_of(claim(first.state, lives=5 * WAIT), 0, waiting, later)
    assert (again.event, again.wait, again.state.due_at) == (None, WAIT, NOW + 2 * WAIT)
    short = settlement_of(claim(first.state, lives=WAIT * 3 / 2), 0, waiting, later)
    assert short.state.due_at == NOW + WAIT * 3 / 2


def test_a_recipient_behind_another_is_put_back_without_a_trace() -> None:
    behind = Outcome(Verdict.WAITING, None, None, "another goes first", None)
    state = RecipientState(Status.DEFERRED, attempts=2, due_at=NOW)
    settlement = settlement_of(claim(state), 0, behind, TERMS)
    assert (settlement.state, settlement.wait, settlement.event) == (state, timedelta(0), None)


def test_a_blocked_source_counts_no_attempt_and_the_next_try_is_at_once() -> None:
    settlement = settlement_of(claim(RecipientState()), 0, outcome(Verdict.BLOCKED), TERMS)
    assert (settlement.state.status, settlement.state.attempts) == (Status.DEFERRED, 0)
    assert settlement.wait == timedelta(0)
    assert settlement.state.due_at == NOW


@pytest.mark.parametrize("verdict", sorted({*Verdict} - {Verdict.INTERRUPTED, Verdict.HELD}))
def test_the_source_of_a_try_is_remembered_until_there_is_another(verdict: Verdict) -> None:
    tried = replace(outcome(verdict), peer=replace(PEER, source="out2"), wait=WAIT)
    settlement = settlement_of(claim(RecipientState(source="out1")), 0, tried, TERMS)
    assert settlement.state.source == "out2"
    unreached = replace(outcome(Verdict.UNREACHED), peer=None)
    kept = settlement_of(claim(RecipientState(source="out1")), 0, unreached, TERMS)
    assert kept.state.source == "out1"


def test_a_suppressed_recipient_is_told_with_the_reason_and_counts_no_attempt() -> None:
    reason = SuppressionReason.UNSUBSCRIBED
    spared = Outcome(Verdict.SUPPRESSED, None, None, "5.7.1 suppressed", None, suppression=reason)
    state = RecipientState(Status.DEFERRED, attempts=2)
    settlement = settlement_of(claim(state), 0, spared, TERMS)
    assert (settlement.state.status, settlement.state.attempts) == (Status.SUPPRESSED, 2)
    assert settlement.event is not None
    assert settlement.event.type is EventType.SUPPRESSED
    assert settlement.event.delivery is not None
    assert settlement.event.delivery.suppression is reason
    assert settlement.suppression is None


def test_a_bounce_that_proves_an_address_dead_suppresses_it_with_what_was_said() -> None:
    reply = Reply(550, "5.1.1", "No such user")
    dead = Outcome(Verdict.BOUNCED, Category.RECIPIENT, reply, "", PEER)
    held = claim(RecipientState())
    suppression = settlement_of(held, 0, dead, TERMS).suppression
    assert suppression == Suppression(
        SuppressionReason.BOUNCED, NOW, held.message.id, "550 5.1.1 No such user"
    )
    for other, terms in (
        (dead, replace(TERMS, suppresses=False)),
        (replace(dead, category=Category.POLICY), TERMS),
        (replace(dead, verdict=Verdict.DEFERRED), TERMS),
    ):
        assert settlement_of(held, 0, other, terms).suppression is None


def test_a_settled_recipient_cannot_change_any_more() -> None:
    with pytest.raises(ValueError, match="cannot go from delivered to bounced"):
        settlement_of(claim(RecipientState(Status.DELIVERED)), 0, outcome(Verdict.BOUNCED), TERMS)


@pytest.mark.parametrize(
    ("verdicts", "worked"),
    [
        ([(Verdict.DELIVERED, None)], True),
        ([(Verdict.BOUNCED, Category.RECIPIENT)], True),
        ([(Verdict.DEFERRED, Category.POLICY)], True),
        ([(Verdict.UNREACHED, Category.NETWORK)], False),
        ([(Verdict.DELIVERED, None), (Verdict.UNREACHED, Category.NETWORK)], False),
        ([(Verdict.UNREACHED, Category.LOCAL)], None),
        ([(Verdict.DELIVERED, None), (Verdict.UNREACHED, Category.LOCAL)], True),
        ([(Verdict.INTERRUPTED, Category.LOCAL)], None),
        ([(Verdict.HELD, None)], None),
        ([(Verdict.INSECURE, Category.AUTHENTICATION)], None),
    ],
)
def test_only_what_a_site_did_itself_moves_its_window(
    verdicts: list[tuple[Verdict, Category | None]], worked: bool | None
) -> None:
    outcomes = [Outcome(verdict, category, None, "", PEER) for verdict, category in verdicts]
    assert site_worked(outcomes) is worked


def test_trouble_before_any_host_was_tried_says_nothing_of_a_site() -> None:
    assert site_worked([Outcome(Verdict.UNREACHED, Category.NETWORK, None, "no DNS", None)]) is None


@given(
    tried=st.builds(outcome, st.sampled_from(Verdict), in_doubt=st.booleans()),
    state=st.builds(
        RecipientState,
        st.just(Status.DEFERRED),
        st.integers(0, 50),
        st.integers(0, 50),
        st.none(),
        st.none(),
    ),
    roll=st.floats(0, 1, exclude_max=True),
    age=st.timedeltas(timedelta(0), timedelta(hours=3)),
)
def test_every_outcome_is_either_final_or_tried_again(
    tried: Outcome, state: RecipientState, roll: float, age: timedelta
) -> None:
    terms = replace(TERMS, now=NOW + age, roll=roll)
    settlement = settlement_of(claim(state), 0, tried, terms)
    assert (not TRANSITIONS[settlement.state.status]) == (settlement.wait is None)
    assert settlement.wait is None or settlement.wait >= timedelta(0)
    assert settlement.state.attempts - state.attempts in {0, 1}
