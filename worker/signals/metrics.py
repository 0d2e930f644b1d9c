"""What a worker counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import Counter, Gauge

from app.signals.metrics import new_registry, render
from worker.outcomes.outcome import Outcome


class Metrics:
    """The counters of one worker process, in a registry of their own."""

    def __init__(self) -> None:
        """Start from zero."""
        self._registry = new_registry()
        self._outcomes = Counter(
            "pillarbox_outcomes",
            "Outcomes of attempts, per recipient",
            ["verdict"],
            registry=self._registry,
        )
        self._tls = Counter(
            "pillarbox_transport",
            "Outcomes of attempts by how their host was spoken to, per recipient",
            ["tls", "certificate", "policy"],
            registry=self._registry,
        )
        self._fenced = Counter(
            "pillarbox_fenced", "Claims that another worker had taken over", registry=self._registry
        )
        self._posts = Counter(
            "pillarbox_webhook_posts", "Posts of events", ["taken"], registry=self._registry
        )
        self._failures = Counter(
            "pillarbox_drain_failures", "Drains that ended by an exception", registry=self._registry
        )
        self._rests = Counter(
            "pillarbox_source_rests",
            "Rests that receiving systems asked of a source",
            ["source"],
            registry=self._registry,
        )
        self._drains = Gauge("pillarbox_drains", "Drains that run now", registry=self._registry)

    def settled(self, outcomes: Sequence[Outcome]) -> None:
        """Count the outcomes of one attempt."""
        for outcome in outcomes:
            self._outcomes.labels(outcome.verdict.value).inc()
            if peer := outcome.peer:
                labels = (peer.tls or "none", peer.certificate or "none", peer.policy or "none")
                self._tls.labels(*labels).inc()

    def fenced(self) -> None:
        """Count a claim that was lost."""
        self._fenced.inc()

    def rested(self, source: str) -> None:
        """Count a rest of a source at some site."""
        self._rests.labels(source).inc()

    def posted(self, *, taken: bool) -> None:
        """Count a post of an event."""
        self._posts.labels("yes" if taken else "no").inc()

    def failed(self) -> None:
        """Count a drain that ended by an exception."""
        self._failures.inc()

    def running(self, drains: int) -> None:
        """Note how many drains run."""
        self._drains.set(drains)

    def exposition(self) -> bytes:
        """Return all of it in Prometheus' text form."""
        return render(self._registry)
