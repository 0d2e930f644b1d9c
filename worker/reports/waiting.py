"""The drain of a lane of reports: claim what is to be told, tell it, settle, and again until it is empty."""

from __future__ import annotations

import time
from datetime import timedelta

from app.spool.workers.claims import Claim
from app.spool.workers.lanes import Closing, Fenced
from app.spool.workers.reports import ReportClaim, ReportLane, TlsClaim, TlsLane
from worker.claims.allowance import Allowance
from worker.claims.insist import insist
from worker.resources import Resources


async def drain_reports(lane: ReportLane | TlsLane, resources: Resources) -> None:
    """Tell what is due in a lane of reports.

    Raises SpoolError where Redis cannot give a claim or takes no new mail; then the claim comes back when its
    lease ends.
    """
    allowance = Allowance(resources)
    with resources.leases.hold() as lease:
        claim = await resources.lanes.begin(lane, lease.drain)
        while isinstance(claim, ReportClaim | TlsClaim):
            wait = await _tell(claim, resources)
            asked_at = time.monotonic()
            try:
                claim = await _settle(claim, wait, resources, go_on=allowance.permits(1))
            except Fenced:
                return
            lease.extend(asked_at)


async def _tell(claim: ReportClaim | TlsClaim, resources: Resources) -> timedelta | None:
    """Write or send what a claim is about; return when to try again, None where it is done with."""
    if isinstance(claim, ReportClaim):
        await resources.alarm.ring(await resources.reports.delivery.tell(claim.notice))
        return None
    sent = await resources.reports.courier.send(claim)
    await resources.alarm.ring(sent.wakes)
    return sent.wait


async def _settle(
    claim: ReportClaim | TlsClaim, wait: timedelta | None, resources: Resources, *, go_on: bool
) -> Claim | None:
    closing = Closing(go_on)
    settled = await insist(lambda: resources.lanes.settle_report(claim, wait, closing), resources)
    return settled.next_claim
