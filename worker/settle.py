"""The only code that acts on outcomes: what becomes of each recipient, and of the lane.

`decide` is pure; `settle` stores what it decided in one atomic step that also claims the next batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

import structlog

from app.events import AttemptRecord, Category, Delivery, EventType, SuppressionReason
from app.messages import (
    MAX_NOTE,
    TRANSITIONS,
    Message,
    OnUnknown,
    RecipientState,
    Status,
    Suppression,
)
from app.spool.workers.claims import MailClaim
from app.spool.workers.lanes import Closing, Settled, Settlement
from app.spool.workers.sources import SourceRest
from worker.claims.insist import insist
from worker.outcomes.deadness import proves_dead
from worker.outcomes.outcome import Outcome, Verdict
from worker.outcomes.pauses import pause_after, source_pause_after
from worker.reports.notices import with_reports
from worker.resources import Resources
from worker.retry import spread, wait_after
from worker.smtp.attempt import Attempted

_log = structlog.get_logger(__name__)

_EVENTS = {
    Status.DEFERRED: EventType.DEFERRED,
    Status.DELIVERED: EventType.DELIVERED,
    Status.BOUNCED: EventType.BOUNCED,
    Status.EXPIRED: EventType.EXPIRED,
    Status.UNKNOWN: EventType.UNKNOWN,
    Status.SUPPRESSED: EventType.SUPPRESSED,
}

_HEARD = frozenset({Verdict.DELIVERED, Verdict.DEFERRED, Verdict.BOUNCED})
"""Verdicts that only a site that could be reached can give."""
_UNTRIED = frozenset(
    {Verdict.EXPIRED, Verdict.HELD, Verdict.WAITING, Verdict.INTERRUPTED, Verdict.SUPPRESSED}
)
"""Verdicts that no try stands behind."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a decision depends on beside the outcome: the time, how long to wait at which failure, and whether
    bounces suppress."""

    now: datetime
    roll: float
    retry_after: tuple[timedelta, ...]
    jitter: float
    most_interruptions: int
    lane_wait: timedelta
    second_look: timedelta
    on_unknown: OnUnknown = OnUnknown.RETRY
    suppresses: bool = True

    def wait(self, failures: int) -> timedelta:
        """Return the wait of a recipient after its given deferral."""
        return spread(wait_after(failures, self.retry_after), self.jitter, self.roll)


@dataclass(frozen=True, slots=True)
class Decision:
    """A recipient's next status and counters; `wait` is None when final, `told` is whether it makes a fact.

    `text` stands in for that of the outcome where the decision is what has to be explained.
    """

    status: Status
    attempts: int
    interruptions: int
    wait: timedelta | None = None
    told: bool = True
    text: str = ""


def decide(outcome: Outcome, state: RecipientState, terms: Terms) -> Decision:
    """Return what becomes of a recipient. Only the receiver's verdict counts as an attempt.

    That no host fulfils the transport policy counts too: such a recipient waits by itself, since others of its
    lane may demand less.
    """
    if outcome.in_doubt and terms.on_unknown is OnUnknown.HOLD:
        return Decision(Status.UNKNOWN, state.attempts + 1, state.interruptions)
    return _consequence(outcome, state, terms)


def _consequence(outcome: Outcome, state: RecipientState, terms: Terms) -> Decision:
    tried = state.attempts + 1
    match outcome.verdict:
        case Verdict.DELIVERED:
            return Decision(Status.DELIVERED, tried, state.interruptions)
        case Verdict.BOUNCED:
            return _refused(outcome, state, terms)
        case Verdict.EXPIRED | Verdict.SUPPRESSED:
            return Decision(Status(outcome.verdict.value), state.attempts, state.interruptions)
        case Verdict.DEFERRED | Verdict.INSECURE:
            return Decision(Status.DEFERRED, tried, state.interruptions, terms.wait(tried))
        case Verdict.UNREACHED | Verdict.BLOCKED:
            # It keeps its place; the lane is what waits, or the source, or (`wait`) the site.
            return Decision(Status.DEFERRED, state.attempts, state.interruptions, outcome.wait)
        case Verdict.LOST:
            return _lost(outcome, state, terms)
        case Verdict.INTERRUPTED | Verdict.HELD | Verdict.WAITING:
            return _put_back(outcome, state)
        case _:
            assert_never(outcome.verdict)


def _put_back(outcome: Outcome, state: RecipientState) -> Decision:
    """Leave no trace of what was not tried; but why a recipient waits is told, once."""
    if outcome.wait and not _was_seen(outcome, state):
        return Decision(Status.DEFERRED, state.attempts, state.interruptions, outcome.wait)
    return Decision(state.status, state.attempts, state.interruptions, outcome.wait, told=False)


def _refused(outcome: Outcome, state: RecipientState, terms: Terms) -> Decision:
    """Believe a refusal, but one that needs a second look only when the last try came to the same."""
    if outcome.needs_second_look and not _was_seen(outcome, state):
        wait = terms.second_look
        return Decision(Status.DEFERRED, state.attempts, state.interruptions, wait)
    return Decision(Status.BOUNCED, state.attempts + 1, state.interruptions)


def _was_seen(outcome: Outcome, state: RecipientState) -> bool:
    """Tell whether the last event said the same."""
    return state.last is not None and state.last.text == outcome.text


def _lost(outcome: Outcome, state: RecipientState, terms: Terms) -> Decision:
    """Hold back a message that keeps losing workers, and give it up before it takes them down for days.

    The first loss may be anybody's fault.
    """
    lost = state.interruptions + 1
    if lost >= terms.most_interruptions:
        text = f"given up: {lost} workers were lost while they tried it"
        end = Status.UNKNOWN if outcome.in_doubt else Status.BOUNCED
        return Decision(end, state.attempts, lost, text=text)
    wait = terms.wait(lost - 1) if lost > 1 else timedelta(0)
    return Decision(Status.DEFERRED, state.attempts, lost, wait)


def settlement_of(claim: MailClaim, place: int, outcome: Outcome, terms: Terms) -> Settlement:
    """Return what is stored for the recipient at `place` of the claim."""
    state, message = claim.states[place], claim.message
    decision = decide(outcome, state, terms)
    if decision.wait is not None and decision.told and claim.is_overdue(terms.now):
        decision = Decision(Status.EXPIRED, decision.attempts, decision.interruptions)
    if not decision.told:
        until = min(terms.now + (decision.wait or timedelta(0)), message.expires_at)
        after = replace(state, due_at=until) if decision.wait else state
        return Settlement(after, decision.wait, None)
    if decision.status not in TRANSITIONS[state.status]:
        raise ValueError(f"a recipient cannot go from {state.status} to {decision.status}")
    delivery = _delivery(outcome, decision, message, terms)
    after = RecipientState(
        decision.status,
        decision.attempts,
        decision.interruptions,
        delivery.next_attempt_at,
        delivery,
        _source(outcome) or state.source,
        state.tried_at if outcome.verdict in _UNTRIED else terms.now,
    )
    event = message.event(claim.indexes[place], _EVENTS[decision.status], terms.now, delivery)
    is_dead = terms.suppresses and decision.status is Status.BOUNCED and proves_dead(outcome)
    suppression = _suppression(outcome, message, terms) if is_dead else None
    return Settlement(after, decision.wait, event, suppression=suppression)


def _suppression(outcome: Outcome, message: Message, terms: Terms) -> Suppression:
    reply = outcome.reply
    words = [str(reply.code), reply.enhanced, reply.text] if reply else [outcome.text]
    note = " ".join(filter(None, words))[:MAX_NOTE]
    return Suppression(SuppressionReason.BOUNCED, terms.now, message.id, note)


async def settle(
    claim: MailClaim, attempted: Attempted, resources: Resources, *, go_on: bool
) -> Settled:
    """Store the outcomes of a claim and claim the next one. Raises Fenced where another holds the claim now."""
    terms = _terms(claim, resources)
    settlements = tuple(
        settlement_of(claim, place, outcome, terms)
        for place, outcome in enumerate(attempted.outcomes)
    )
    settlements = with_reports(claim, settlements)
    lane_wait = _lane_wait(claim, attempted.outcomes, terms)
    rest = _site_rest(attempted.outcomes)
    closing = Closing(
        go_on=go_on and rest is None,
        lane_wait=lane_wait,
        attempt=_attempt_record(claim, attempted),
        site_worked=site_worked(attempted.outcomes),
        site_rest=rest,
    )
    source_rest = _source_rest(attempted)

    async def step() -> Settled:
        if source_rest:
            await resources.book.rest(source_rest)
        return await resources.lanes.settle(claim, settlements, closing)

    settled = await insist(step, resources)
    resources.metrics.settled(attempted.outcomes)
    if source_rest:
        _tell(source_rest, resources)
    return settled


def _tell(rest: SourceRest, resources: Resources) -> None:
    resources.metrics.rested(rest.source)
    seconds = rest.length.total_seconds()
    _log.warning("source_rests", source=rest.source, site=rest.site, seconds=seconds)


def _terms(claim: MailClaim, resources: Resources) -> Terms:
    delivery, roll = resources.settings.delivery, resources.roll()
    rest = wait_after(claim.failures + 1, delivery.site_back_off)
    return Terms(
        now=resources.clock(),
        roll=roll,
        retry_after=delivery.retry_after,
        jitter=delivery.retry_jitter,
        most_interruptions=delivery.most_interruptions,
        lane_wait=spread(rest, delivery.retry_jitter, roll),
        second_look=resources.settings.dns.second_look,
        on_unknown=claim.message.on_unknown,
        suppresses=resources.settings.suppressions.on_bounce,
    )


def _lane_wait(claim: MailClaim, outcomes: tuple[Outcome, ...], terms: Terms) -> timedelta | None:
    verdicts = {outcome.verdict for outcome in outcomes}
    if Verdict.UNREACHED in verdicts:
        return terms.lane_wait
    if claim.failures and verdicts & _HEARD:
        return timedelta(0)
    return None


def site_worked(outcomes: Iterable[Outcome]) -> bool | None:
    """Tell whether a mail went through, or the site could not be reached.

    None where that is not known: nothing was tried, or the trouble was ours.
    """
    tried = (each for each in outcomes if each.peer and each.category is not Category.LOCAL)
    verdicts = {outcome.verdict for outcome in tried}
    if Verdict.UNREACHED in verdicts:
        return False
    return True if verdicts & _HEARD else None


def _site_rest(outcomes: tuple[Outcome, ...]) -> timedelta | None:
    """Return how long the whole site wants to be left alone by what it said, None if it did not say so."""
    said = {outcome for outcome in outcomes if outcome.reply and not _source_pause(outcome)}
    rests = (outcome.wait or pause_after(outcome.reply) for outcome in said if outcome.reply)
    return max(filter(None, rests), default=None)


def _source_rest(attempted: Attempted) -> SourceRest | None:
    """Return how long the source of a try should rest at its site by what was said to it, None if it need not."""
    rests = [
        SourceRest(attempted.site, source, pause)
        for outcome in set(attempted.outcomes)
        if attempted.site and (source := _source(outcome)) and (pause := _source_pause(outcome))
    ]
    return max(rests, key=lambda rest: rest.length, default=None)


def _source_pause(outcome: Outcome) -> timedelta | None:
    return source_pause_after(outcome) if _source(outcome) else None


def _source(outcome: Outcome) -> str | None:
    return outcome.peer.source if outcome.peer else None


def _delivery(outcome: Outcome, decision: Decision, message: Message, terms: Terms) -> Delivery:
    next_at = None
    if decision.wait is not None:
        wait = terms.lane_wait if outcome.verdict is Verdict.UNREACHED else decision.wait
        next_at = min(terms.now + wait, message.expires_at)
    return Delivery(
        category=outcome.category,
        reply=outcome.reply,
        peer=outcome.peer,
        text=decision.text or outcome.text,
        final=decision.wait is None,
        next_attempt_at=next_at,
        in_doubt=outcome.in_doubt,
        suppression=outcome.suppression,
    )


def _attempt_record(claim: MailClaim, attempted: Attempted) -> AttemptRecord | None:
    """Return the record of a try; None where nothing was tried. Its words are those of the first that was."""
    both = zip(claim.indexes, attempted.outcomes, strict=True)
    tried = [pair for pair in both if pair[1].verdict not in _UNTRIED]
    if not tried:
        return None
    first = tried[0][1]
    return AttemptRecord(
        started_at=attempted.started_at,
        finished_at=attempted.finished_at,
        recipients=tuple(claim.message.recipient_id(index) for index, _ in tried),
        results=tuple(outcome.verdict.value for _, outcome in tried),
        peer=first.peer,
        text=first.reply.text if first.reply else first.text,
        dialogue=attempted.dialogue,
    )
