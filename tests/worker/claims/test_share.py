"""What was said of a source is told apart from what was said of a recipient."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.events import Peer
from app.ids import DrainId
from app.mail.reply import parse_reply
from app.messages import RecipientState, Stream
from app.spool.workers.claims import MailClaim, MailLane
from tests.fakes.letters import PROJECT, Letter
from worker.claims.share import Share
from worker.outcomes.classify import Phase, classify
from worker.outcomes.outcome import Outcome, Verdict
from worker.outcomes.pauses import UNWELCOME
from worker.routing.hosts import Host
from worker.sites.sources import Source
from worker.smtp.attempt import Attempted

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOSTS = (Host("mx.example.org", "192.0.2.1", 10),)
SOURCE = Source("out1", "out1.example.com", ipv4="192.0.2.7")
PEER = Peer("mx.example.org", "192.0.2.1", None, "out1", "192.0.2.7")
LISTED = "554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org"


def said(reply: str, phase: Phase = Phase.RCPT) -> Outcome:
    parsed = parse_reply([reply.encode()])
    judgement = classify(parsed, phase)
    return Outcome(judgement.verdict, judgement.category, parsed, "", PEER)


def claim(*to: str) -> MailClaim:
    lane = MailLane(PROJECT, Stream.TRANSACTIONAL, "example.org")
    states = (RecipientState(),) * len(to)
    message = Letter(to=to).message()
    return MailClaim(lane, DrainId("drn_1"), 1, 0, tuple(range(len(to))), message, b"", states)


def came_to(outcome: Outcome, source: Source | None = SOURCE) -> Outcome:
    share = Share((0,), HOSTS, source, "mx.example.org")
    attempted = Attempted((outcome,), (), NOW, NOW)
    return share.completed(attempted, claim("ann@example.org")).outcomes[0]


@pytest.mark.parametrize(
    ("reply", "phase"),
    [
        (LISTED, Phase.RCPT),
        (LISTED, Phase.GREETING),
        (LISTED, Phase.DOT),
        ("550 5.7.606 Access denied, banned sending IP [192.0.2.7]", Phase.RCPT),
        ("550 5.7.25 [192.0.2.7] The IP address does not have a PTR record", Phase.DOT),
        ("450 4.7.1 Client host [192.0.2.7] blocked using bl.spamcop.net", Phase.RCPT),
        ("421 4.7.0 Too many connections from your IP", Phase.GREETING),
        ("421 4.7.0 [TSS04] Messages from 192.0.2.7 deferred due to user complaints", Phase.MAIL),
    ],
)
def test_a_refusal_of_the_source_is_no_verdict_on_the_recipient(reply: str, phase: Phase) -> None:
    outcome = said(reply, phase)
    assert came_to(outcome) == replace(outcome, verdict=Verdict.BLOCKED)


@pytest.mark.parametrize(
    ("reply", "phase"),
    [
        ("250 2.0.0 Taken", Phase.DOT),
        ("550 5.1.1 User unknown", Phase.RCPT),
        ("451 4.7.1 Greylisted", Phase.RCPT),
        ("451 4.7.1 Rate limit exceeded", Phase.RCPT),
        ("421 4.3.2 Server busy", Phase.GREETING),
        ("554 No SMTP service here", Phase.GREETING),
        ("554 5.7.1 Sender address blocked using dbl.spamhaus.org", Phase.RCPT),
        ("550 5.7.1 Message rejected as spam", Phase.DOT),
        ("550 5.7.26 Unauthenticated email from example.com: DMARC, ip 192.0.2.7", Phase.DOT),
    ],
)
def test_what_is_said_of_anything_else_stays_as_it_is(reply: str, phase: Phase) -> None:
    outcome = said(reply, phase)
    assert came_to(outcome) == outcome


def test_what_may_have_been_taken_goes_from_no_other_source() -> None:
    outcome = replace(said(LISTED, Phase.DOT), verdict=Verdict.DEFERRED, in_doubt=True)
    assert came_to(outcome) == outcome


def test_a_refusal_of_our_only_address_bounces_nobody_and_is_waited_out() -> None:
    outcome = came_to(said(LISTED), source=None)
    assert outcome == replace(said(LISTED), verdict=Verdict.BLOCKED, wait=UNWELCOME)


@pytest.mark.parametrize(
    "reply", ["550 5.1.1 User unknown", "450 4.7.1 Client host [192.0.2.7] blocked using a list"]
)
def test_where_the_system_picks_the_address_other_verdicts_stay(reply: str) -> None:
    assert came_to(said(reply), source=None) == said(reply)


def test_who_did_not_go_along_waits_without_a_trace() -> None:
    held = claim("a@example.org", "b@example.org", "c@example.org")
    share = Share((0, 2), HOSTS, SOURCE, "mx.example.org")
    taken, unknown = said("250 Taken", Phase.DOT), said("550 5.1.1 User unknown")
    assert share.addresses(held) == ("a@example.org", "c@example.org")
    attempted = share.completed(Attempted((taken, unknown), (), NOW, NOW), held)
    assert (attempted.outcomes[0], attempted.outcomes[2]) == (taken, unknown)
    assert (attempted.outcomes[1].verdict, attempted.outcomes[1].wait) == (
        Verdict.WAITING,
        NOW - NOW,
    )
    assert attempted.site == "mx.example.org"
