"""Settlements are insisted on: what an attempt came to is known only to the process that made it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from app.errors import SpoolError
from app.spool.workers.lanes import Fenced, Settled
from worker.resources import Resources

_log = structlog.get_logger(__name__)


async def insist(step: Callable[[], Awaitable[Settled]], resources: Resources) -> Settled:
    """Take a settling step, again and again while Redis is away, and ring for the lanes that it woke.

    Raises Fenced where another holds the claim by now. A cancellation is held back: to leave earlier would
    send a delivered mail again. The step may be repeated, whatever became of an earlier try.
    """
    pause_s = resources.settings.redis.timeout.total_seconds() / 10
    while True:
        try:
            settled = await step()
            break
        except asyncio.CancelledError:
            _log.warning("settlement_goes_on")
        except SpoolError as error:
            _log.warning("settlement_waits", error=error.detail)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(pause_s)
        except Fenced:
            resources.metrics.fenced()
            raise
    await resources.alarm.ring(settled.wakes)
    return settled
