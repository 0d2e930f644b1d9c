"""The drain of a lane of reports: claim what is to be told, write it, settle, and again until it is empty."""

from __future__ import annotations

import time

from app.spool.lanes import Claim, Closing, Fenced
from app.spool.reports import ReportClaim, ReportLane
from worker.claims.allowance import Allowance
from worker.claims.insist import insist
from worker.resources import Resources


async def drain_reports(lane: ReportLane, resources: Resources) -> None:
    """Write what is due in a lane of reports.

    Raises SpoolError where Redis cannot give a claim or takes no new mail; then the claim comes back when its
    lease ends.
    """
    allowance = Allowance(resources)
    with resources.leases.hold() as lease:
        claim = await resources.lanes.begin(lane, lease.drain)
        while isinstance(claim, ReportClaim):
            await resources.alarm.ring(await resources.reporter.tell(claim.notice))
            asked_at = time.monotonic()
            try:
                claim = await _settle(claim, resources, go_on=allowance.permits(1))
            except Fenced:
                return
            lease.extend(asked_at)


async def _settle(claim: ReportClaim, resources: Resources, *, go_on: bool) -> Claim | None:
    closing = Closing(go_on)
    settled = await insist(lambda: resources.lanes.settle_report(claim, None, closing), resources)
    return settled.next_claim
