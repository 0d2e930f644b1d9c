"""What arq calls: thin, with names only, harmless when doubled."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from app.ids import InquiryId
from worker.drains import Drains
from worker.resources import Resources

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Jobs:
    """The entry points, with what it works on. Of arq's own context only the job's id is looked at."""

    resources: Resources
    drains: Drains

    async def drain(self, ctx: dict[str, object], *lanes: str) -> None:
        """Start a drain of each lane."""
        _log.debug("drains_asked_for", lanes=lanes, job=ctx["job_id"])
        await self.drains.start(lanes)

    async def inquire(self, ctx: dict[str, object], inquiry: str, kind: str, *names: str) -> None:
        """Start to answer a question of the API."""
        _log.debug("asked", inquiry=inquiry, kind=kind, job=ctx["job_id"])
        self.resources.answers.start(InquiryId(inquiry), kind, names)
