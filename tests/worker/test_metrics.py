"""What a worker counts."""

from __future__ import annotations

from app.events import Category, Certificate, Peer, TlsPolicy
from worker.outcomes.outcome import Outcome, Verdict
from worker.signals.metrics import Metrics


def _outcome(peer: Peer | None) -> Outcome:
    return Outcome(Verdict.INSECURE, Category.AUTHENTICATION, None, "", peer)


def test_the_share_of_certificates_that_are_worth_nothing_can_be_counted() -> None:
    metrics = Metrics()
    expired = Peer(
        "mx.example.org",
        "192.0.2.1",
        certificate=Certificate.EXPIRED,
        policy=TlsPolicy.MTA_STS,
    )
    metrics.settled([_outcome(expired), _outcome(expired), _outcome(None)])
    text = metrics.exposition().decode()
    assert (
        'pillarbox_transport_total{certificate="expired",policy="mta-sts",tls="none"} 2.0' in text
    )
    assert 'pillarbox_outcomes_total{verdict="insecure"} 3.0' in text
