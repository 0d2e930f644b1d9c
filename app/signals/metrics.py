"""Metrics: a registry for each process (or test), and the counters of the HTTP side."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


def new_registry() -> CollectorRegistry:
    """Return a registry that holds what Python and the system say of this process."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """Return all metrics in the text format of Prometheus (`CONTENT_TYPE`)."""
    return generate_latest(registry)


class WorkshopMetrics:
    """What became of the texts that the child processes worked on."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the metric."""
        self._results = Counter(
            "pillarbox_workshop_texts",
            "Texts that became something (`made`), or why not: `too_large`, `too_deep`, `invalid`, `too_slow`, "
            "`failed`, `busy`. A mail whose text part could not be made was sent without one.",
            ("craft", "result"),
            registry=registry,
        )

    def made(self, craft: str, result: str) -> None:
        """Count one text."""
        self._results.labels(craft, result).inc()


class HttpMetrics:
    """How many requests were answered, how, how fast, and how many failed for reasons nobody expected."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the metrics."""
        self.registry = registry
        self._requests = Counter(
            "pillarbox_http_requests",
            "Answered requests; 202 of POST /messages are accepted messages.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "pillarbox_http_request_seconds",
            "Time from the request's head to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._held = Gauge(
            "pillarbox_http_held_bytes",
            "Bytes of large request bodies that are held now; `api.max_held_bytes` bounds them.",
            registry=registry,
        )
        self._unexpected = Counter(
            "pillarbox_http_unexpected_errors",
            "Requests that ended with 500; each is logged with its traceback.",
            registry=registry,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer. `route` is a template such as `/messages/{message_id}`, never a path."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def held(self, size: int) -> None:
        """Count bytes of a large body in, or out where it is negative."""
        self._held.inc(size)

    def failed(self) -> None:
        """Count one unexpected error."""
        self._unexpected.inc()
