"""The drain of an endpoint's lane: claim parcels, post them, settle, and again until it is empty.

Parcels wait in the endpoint's lane like mail waits in its own. Several are posted side by side, so an
application orders them by `sequence`; `id` stays the same over retries.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

import structlog

from app.projects.endpoints import Endpoint
from app.settings import WebhookSettings
from app.spool.workers.claims import Claim, EndpointLane, ParcelClaim
from app.spool.workers.lanes import Closing, Fenced
from worker.claims.allowance import Allowance
from worker.claims.insist import insist
from worker.resources import Resources
from worker.retry import wait_after

_log = structlog.get_logger(__name__)


async def drain_endpoint(lane: EndpointLane, resources: Resources) -> None:
    """Post what is due in an endpoint's lane. Raises SpoolError where Redis cannot give a claim."""
    allowance = Allowance(resources)
    with resources.leases.hold() as lease:
        asked_at = time.monotonic()
        claim = await resources.lanes.begin(lane, lease.drain)
        lease.extend(asked_at)
        while isinstance(claim, ParcelClaim):
            endpoint = await resources.endpoint(lane)
            troubles = await _post_all(endpoint, claim, resources)
            go_on = not any(troubles) and allowance.permits(len(troubles))
            asked_at = time.monotonic()
            try:
                claim = await _settle(claim, troubles, resources, go_on=go_on)
            except Fenced:
                return
            lease.extend(asked_at)


async def _post_all(
    endpoint: Endpoint | None, claim: ParcelClaim, resources: Resources
) -> tuple[str | None, ...]:
    if endpoint is None:
        # It was deleted; the settlement drops what still waits for it.
        return (None,) * len(claim.parcels)
    troubles = await asyncio.gather(
        *(resources.notifier.post(endpoint, parcel) for parcel in claim.parcels)
    )
    for parcel, trouble in zip(claim.parcels, troubles, strict=True):
        resources.metrics.posted(taken=trouble is None)
        if trouble:
            _log.info(
                "webhook_failed", endpoint=endpoint.id, webhook=parcel.record.id, trouble=trouble
            )
    return tuple(troubles)


async def _settle(
    claim: ParcelClaim, troubles: Sequence[str | None], resources: Resources, *, go_on: bool
) -> Claim | None:
    settings = resources.settings.webhooks
    waits = tuple(
        _wait(parcel.tries + 1, settings) if trouble else None
        for parcel, trouble in zip(claim.parcels, troubles, strict=True)
    )
    closing = Closing(go_on, _lane_wait(claim, troubles, settings))
    settled = await insist(lambda: resources.lanes.settle_parcels(claim, waits, closing), resources)
    return settled.next_claim


def _wait(failures: int, settings: WebhookSettings) -> timedelta | None:
    return settings.retry_after[failures - 1] if failures <= len(settings.retry_after) else None


def _lane_wait(
    claim: ParcelClaim, troubles: Sequence[str | None], settings: WebhookSettings
) -> timedelta | None:
    if any(troubles):
        return wait_after(claim.failures + 1, settings.back_off)
    return timedelta(0) if claim.failures else None
