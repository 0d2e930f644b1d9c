"""The story of the worker: claim, find the way, choose a source, transact, settle, until the lane is empty.

One drain holds one claim at a time, so a crash puts at most one mail per connection in doubt. It ends
when nothing is due, when its time or its number of mails is up (lanes take turns), when no host can be
reached or the site has no place for it, when its lease is lost, or when the process stops.
"""

from __future__ import annotations

import asyncio
import time

from app.errors import SpoolError
from app.events import Category
from app.spool.workers.claims import MailClaim, MailLane
from app.spool.workers.lanes import Fenced
from app.spool.workers.reports import INSTALLATION
from worker.claims.allowance import Allowance
from worker.claims.guards import guard_of
from worker.claims.leases import Lease
from worker.claims.share import share_of
from worker.claims.suppressed import spared, with_suppressed
from worker.identity.permission import refusal
from worker.outcomes.outcome import Outcome, Verdict
from worker.resources import Resources
from worker.routing.hosts import Route
from worker.settle import settle
from worker.smtp.attempt import Attempted
from worker.smtp.envelope import Envelope

_EXPIRED = Outcome(
    Verdict.EXPIRED, None, None, "the message's time ended before it could be delivered", None
)
_HELD = Outcome(Verdict.HELD, None, None, "the receiving system gets no more at a time", None)
_UNPROTECTED = Outcome(
    Verdict.HELD, None, None, "the policy of the domain cannot be known without Redis", None
)
_STOPPED = Outcome(
    Verdict.INTERRUPTED, Category.LOCAL, None, "our worker stopped before it was sent", None
)


async def drain(lane: MailLane, resources: Resources) -> None:
    """Carry what is due in `lane`. Raises SpoolError where Redis cannot give a claim."""
    allowance = Allowance(resources)
    with resources.leases.hold() as lease:
        asked_at = time.monotonic()
        claim = await resources.lanes.begin(lane, lease.drain)
        lease.extend(asked_at)
        while isinstance(claim, MailClaim):
            try:
                attempted = await _attempt_or_put_back(claim, lease, resources)
                asked_at = time.monotonic()
                go_on = _may_go_on(attempted) and allowance.permits(1)
                settled = await settle(claim, attempted, resources, go_on=go_on)
            except Fenced:
                return
            lease.extend(asked_at)
            claim = settled.next_claim


async def attempt(claim: MailClaim, lease: Lease, resources: Resources) -> Attempted:
    """Try the recipients of one claim that are not suppressed; the outcomes come in the order of the claim."""
    if not claim.suppressions:
        return await _try(claim, lease, resources)
    places = spared(claim)
    tried = await _try(claim.part(places), lease, resources) if places else _untried((), resources)
    return with_suppressed(tried, claim)


async def _try(claim: MailClaim, lease: Lease, resources: Resources) -> Attempted:
    started_at = resources.clock()
    if claim.is_overdue(started_at):
        return _alike(_EXPIRED, claim, resources)
    hold = resources.settings.domains.hold
    refused = await refusal(claim.message, resources.senders, hold)
    if refused is not None:
        return _alike(refused, claim, resources)
    hosts = await _way(claim, resources)
    if isinstance(hosts, Outcome):
        return _alike(hosts, claim, resources)
    if lease.site is None:
        lease.site = await _enter_site(claim, resources)
    if lease.site is None:
        return _alike(_HELD, claim, resources)
    share = await share_of(claim, hosts, lease.site, resources)
    if isinstance(share, tuple):
        return _untried(share, resources)
    message = claim.message
    envelope = Envelope(share.return_path(claim), share.addresses(claim), claim.raw, message.id)
    guard = guard_of(claim, lease, resources.lanes)
    attempted = await resources.carrier.carry(share.hosts, envelope, guard, share.source)
    if message.project != INSTALLATION:
        # What carries TLS reports is no part of the next ones (RFC 8460 §3).
        resources.reports.tls.note(claim.lane.domain, attempted.handshakes)
    return share.completed(attempted, claim)


async def _way(claim: MailClaim, resources: Resources) -> Route | Outcome:
    """Find the hosts for a claim, each with the policy for connections to it; else why there are none."""
    domain = claim.lane.domain
    hosts = await resources.router.route(domain)
    if isinstance(hosts, Outcome):
        return hosts
    try:
        return await resources.protection.protect(domain, hosts, claim.message.tls)
    except SpoolError:
        return _UNPROTECTED  # settling waits for Redis, and puts the claim back


async def _enter_site(claim: MailClaim, resources: Resources) -> str | None:
    """Ask for a place at the claim's site; return its name if it was given. Raises Fenced."""
    site = resources.sites.site(await resources.router.exchangers(claim.lane.domain))
    try:
        entered = await resources.lanes.enter(claim, site)
    except SpoolError:
        return None  # settling waits for Redis, and puts the claim back
    await resources.alarm.ring(entered.wakes)
    return None if entered.wait else site.name


async def _attempt_or_put_back(claim: MailClaim, lease: Lease, resources: Resources) -> Attempted:
    """Try; when the process stops in the middle, give the claim back as it was and let the drain end.

    A cancellation arrives here only before the final dot; after it the attempt runs to its end.
    """
    if resources.stopping.is_set():
        return _alike(_STOPPED, claim, resources)
    try:
        return await attempt(claim, lease, resources)
    except asyncio.CancelledError:
        return _alike(_STOPPED, claim, resources)


def _may_go_on(attempted: Attempted) -> bool:
    """Tell whether the next mail of the lane may fare better than this one."""
    verdicts = {outcome.verdict for outcome in attempted.outcomes}
    return not verdicts & {Verdict.UNREACHED, Verdict.INTERRUPTED, Verdict.HELD}


def _alike(outcome: Outcome, claim: MailClaim, resources: Resources) -> Attempted:
    return _untried((outcome,) * len(claim.indexes), resources)


def _untried(outcomes: tuple[Outcome, ...], resources: Resources) -> Attempted:
    now = resources.clock()
    return Attempted(outcomes, (), now, now)
