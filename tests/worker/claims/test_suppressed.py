"""Recipients that are suppressed among those of a claim."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from app.events import SuppressionReason
from app.ids import DrainId
from app.messages import RecipientState, Stream, Suppression
from app.spool.workers.claims import MailClaim, MailLane
from tests.fakes.letters import PROJECT, Letter
from worker.claims.suppressed import spared, with_suppressed
from worker.outcomes.outcome import Outcome, Verdict
from worker.smtp.attempt import Attempted

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
WHY = Suppression(SuppressionReason.MANUAL, NOW)
STATES = tuple(RecipientState(attempts=n) for n in range(3))
CLAIM = MailClaim(
    MailLane(PROJECT, Stream.TRANSACTIONAL, "example.org"),
    DrainId("drn_1"),
    1,
    0,
    (2, 5, 7),
    Letter(to=tuple(f"u{n}@example.org" for n in range(8))).message(),
    b"",
    STATES,
)


def tried(*verdicts: Verdict) -> Attempted:
    outcomes = tuple(Outcome(verdict, None, None, verdict, None) for verdict in verdicts)
    return Attempted(outcomes, (), NOW, NOW)


def test_those_that_are_not_suppressed_go_on_without_the_others() -> None:
    claim = replace(CLAIM, suppressions={5: WHY})
    assert spared(claim) == (0, 2)
    part = claim.part(spared(claim))
    assert (part.indexes, part.states) == ((2, 7), (STATES[0], STATES[2]))


def test_outcomes_come_back_in_the_order_of_the_claim() -> None:
    claim = replace(CLAIM, suppressions={2: WHY, 7: WHY})
    whole = with_suppressed(tried(Verdict.DELIVERED), claim)
    verdicts = [outcome.verdict for outcome in whole.outcomes]
    assert verdicts == [Verdict.SUPPRESSED, Verdict.DELIVERED, Verdict.SUPPRESSED]
    assert whole.outcomes[0].suppression is SuppressionReason.MANUAL


def test_nobody_is_left_where_all_are_suppressed() -> None:
    claim = replace(CLAIM, suppressions=dict.fromkeys(CLAIM.indexes, WHY))
    assert spared(claim) == ()
    assert len(with_suppressed(tried(), claim).outcomes) == 3
