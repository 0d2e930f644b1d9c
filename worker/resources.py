"""What every drain works with: built once, when the worker starts, and closed when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from app.identity.domains import Domains
from app.identity.senders import Senders
from app.messages import Stream
from app.projects.endpoints import Endpoint, load_endpoint
from app.settings import Settings
from app.spool.client import Redis
from app.spool.jobs import Alarm
from app.spool.workers.claims import EndpointLane
from app.spool.workers.lanes import Lanes
from app.spool.workers.sources import SourceBook
from worker.claims.leases import Leases
from worker.identity.inquiries import Answers
from worker.identity.keykeeper import KeyKeeper
from worker.notify import Notifier
from worker.policies.policybook import PolicyBook
from worker.policies.protection import Protection
from worker.reports.reporting import Reporting
from worker.routing.mx import Router
from worker.signals.metrics import Metrics
from worker.sites.profiles import Sites
from worker.sites.sources import Pool as SourcePool
from worker.smtp.attempt import Carrier


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything of one worker process. `stopping` is set once the process shall end.

    `pools` are the sources of each stream; there are none where the system picks the address.
    """

    settings: Settings
    redis: Redis
    lanes: Lanes
    alarm: Alarm
    leases: Leases
    router: Router
    policies: PolicyBook
    protection: Protection
    sites: Sites
    pools: Mapping[Stream, SourcePool]
    book: SourceBook
    carrier: Carrier
    notifier: Notifier
    reports: Reporting
    senders: Senders
    domains: Domains
    answers: Answers
    keeper: KeyKeeper
    metrics: Metrics
    stopping: asyncio.Event
    clock: Callable[[], datetime]
    roll: Callable[[], float]

    async def endpoint(self, lane: EndpointLane) -> Endpoint | None:
        """Return the endpoint of a lane, None if it was deleted."""
        return await load_endpoint(self.redis, lane.project, lane.endpoint)


def utc_now() -> datetime:
    """Return the time of the machine's clock, in UTC."""
    return datetime.now(UTC)
