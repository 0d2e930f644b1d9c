"""What arq calls: thin, with names only, harmless when doubled."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from app.errors import SpoolError
from worker.drains import Drains
from worker.resources import Resources
from worker.sweep import DUTIES

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Jobs:
    """The entry points, with what they work on. Of arq's own context only the job's id is looked at."""

    resources: Resources
    drains: Drains

    async def drain(self, ctx: dict[str, object], lane: str) -> None:
        """Start a drain of the lane."""
        _log.debug("drain_asked_for", lane=lane, job=ctx["job_id"])
        await self.drains.start(lane)

    async def clock(self, ctx: dict[str, object]) -> None:
        """Do the clock's duties; each second, on one worker. One that fails keeps no other from being done."""
        for duty in DUTIES:
            try:
                await duty(self.resources)
            except SpoolError as error:
                _log.warning("clock_without_redis", job=ctx["job_id"], error=error.detail)
                return
            except Exception:
                _log.exception("clock_duty_failed", duty=duty.__name__)
