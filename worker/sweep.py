"""The clock, once a second on one worker: wake due lanes, return lost claims, end what is out of time.

Seconds are counted by the monotonic clock here and by Redis' clock there, so that a machine whose time is
wrong or jumps neither stops the clock nor makes it race.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import structlog

from app.errors import SpoolError
from app.events import Category
from app.ids import new_drain_id
from app.messages import OnUnknown
from app.spool.workers.claims import Claim, MailClaim
from app.spool.workers.lanes import MOST_WAITING, Closing, Fenced
from app.spool.workers.reports import ReportClaim, TlsClaim
from worker.claims.insist import insist
from worker.outcomes.outcome import Outcome, Verdict
from worker.resources import Resources
from worker.settle import settle
from worker.smtp.attempt import Attempted

Start: TypeAlias = Callable[[Sequence[str]], Awaitable[None]]
"""Starts a drain of each of these lanes in this process."""

_log = structlog.get_logger(__name__)

_TICK_S = 1.0
_LANES_AT_ONCE = 100
"""Lanes, and sites, that one call looks at: while it does, Redis does nothing else."""
_MOST_LANES = 2_000
"""Lanes, and sites, that one tick looks at; where more are due at once, the others come at the next ticks."""
_CLAIMS_AT_ONCE = 50
_MESSAGES_AT_ONCE = 200
_DOMAINS_AT_ONCE = 20

_LOST = Outcome(
    Verdict.LOST,
    Category.LOCAL,
    None,
    "the worker that tried was lost; if it had sent everything, the receiver has the message",
    None,
    in_doubt=True,
)
_UNSENT = replace(
    _LOST, text="the worker that tried was lost before it had sent everything", in_doubt=False
)


async def wake_due(resources: Resources, start: Start) -> None:
    """Look after sites, and ring for lanes that are due and have too few drains, the longest waiting first.

    A full Redis takes no jobs, but mail that goes out makes room: then their drains start here.
    """
    for _ in range(0, _MOST_LANES, _LANES_AT_ONCE):
        most_waiting = MOST_WAITING if resources.alarm.is_heard else None
        wakes, looked_at = await resources.lanes.wake(_LANES_AT_ONCE, most_waiting)
        await resources.alarm.ring(wakes)
        if not resources.alarm.is_heard:
            await start(wakes)
        if looked_at < _LANES_AT_ONCE:
            break


async def return_lost_claims(resources: Resources) -> None:
    """Take over the claims of drains whose lease has ended, and settle them as lost."""
    claims = await resources.lanes.take_over([new_drain_id() for _ in range(_CLAIMS_AT_ONCE)])
    for claim in claims:
        try:
            await _return(claim, resources)
        except Fenced:
            continue


async def end_overdue(resources: Resources) -> None:
    """Move recipients whose time has ended to the head of their lanes, where a drain settles them as expired."""
    for message in await resources.lanes.overdue(_MESSAGES_AT_ONCE):
        await resources.alarm.ring(await resources.lanes.hasten(message))


async def _return(claim: Claim, resources: Resources) -> None:
    if isinstance(claim, MailClaim):
        now = resources.clock()
        lost = tuple(_lost(claim, index) for index in claim.indexes)
        await settle(claim, Attempted(lost, (), now, now), resources, go_on=False)
    elif isinstance(claim, ReportClaim | TlsClaim):
        wait, end = resources.settings.delivery.retry_after[0], Closing(go_on=False)
        await insist(lambda: resources.lanes.settle_report(claim, wait, end), resources)
    else:
        waits = [resources.settings.webhooks.retry_after[0]] * len(claim.parcels)
        step = partial(resources.lanes.settle_parcels, claim, waits, Closing(go_on=False))
        await insist(step, resources)


def _lost(claim: MailClaim, index: int) -> Outcome:
    """Tell what became of a recipient whose worker was lost; some messages have it written down."""
    is_noted = claim.message.on_unknown is OnUnknown.HOLD
    return _UNSENT if is_noted and index not in claim.doubted else _LOST


_Duty: TypeAlias = Callable[[Resources], Awaitable[None]]


async def check_domains(resources: Resources) -> None:
    """Start the checks of domains that are due, as many as there is room for here."""
    room = min(resources.answers.room(), _DOMAINS_AT_ONCE)
    for name in await resources.domains.due(room) if room > 0 else ():
        resources.answers.check(name)


async def keep_time(resources: Resources, start: Start) -> None:
    """Tick for ever; run it as a task."""
    duties: Mapping[str, _Duty] = {
        "return_lost_claims": return_lost_claims,
        "end_overdue": end_overdue,
        "wake_due": partial(wake_due, start=start),
        "check_domains": check_domains,
    }
    while True:
        await asyncio.sleep(_TICK_S)
        try:
            if await resources.lanes.tick():
                await _do(duties, resources)
        except SpoolError as error:
            _log.warning("clock_without_redis", error=error.detail)


async def _do(duties: Mapping[str, _Duty], resources: Resources) -> None:
    """Do each duty; one that fails by a fault of ours keeps no other from being done.

    Raises SpoolError when Redis is away; the next tick makes up for it.
    """
    for name, duty in duties.items():
        try:
            await duty(resources)
        except SpoolError:
            raise
        except Exception:
            _log.exception("clock_duty_failed", duty=name)
