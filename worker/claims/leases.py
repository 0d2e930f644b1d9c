"""The leases of this process' drains: renewed together, and judged by our own monotonic clock.

A drain may send only while its lease stands. The judgement is on the safe side: the lease counts from
the moment before Redis was asked, and a worker that was frozen sees by its clock that it has lapsed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import structlog

from app.errors import SpoolError
from app.ids import DrainId, new_drain_id
from app.spool.workers.lanes import Lanes

_log = structlog.get_logger(__name__)


class Lease:
    """The right of one drain to send, until a moment of the monotonic clock.

    `has_begun` tells whether Redis knows the drain, `site` names the one it holds a place at.
    """

    def __init__(self, drain: DrainId, length_s: float) -> None:
        """Stands from now on for `length_s` seconds."""
        self.drain = drain
        self.has_begun = False
        self.site: str | None = None
        self._length_s = length_s
        self._until = time.monotonic() + length_s

    def stands(self) -> bool:
        """Tell whether the drain may still send."""
        return time.monotonic() < self._until

    async def may_end(self, _addresses: Sequence[str], /) -> bool:
        """Tell whether the final dot may be sent: nothing needs to be written down for it."""
        return self.stands()

    def extend(self, asked_at: float) -> None:
        """Stand for another length, counted from the moment before Redis was asked."""
        self.has_begun = True
        self._until = max(self._until, asked_at + self._length_s)

    def lose(self) -> None:
        """Stop standing: another holds the claim."""
        self._until = 0.0


class Leases:
    """All leases of this process."""

    def __init__(self, lanes: Lanes, length: timedelta) -> None:
        """`length` is that of one lease; they are renewed when a sixth of it has passed."""
        self._lanes = lanes
        self._length_s = length.total_seconds()
        self._held: dict[DrainId, Lease] = {}

    @contextmanager
    def hold(self) -> Iterator[Lease]:
        """Give a new drain its lease, and stop renewing it at the end."""
        lease = Lease(new_drain_id(), self._length_s)
        self._held[lease.drain] = lease
        try:
            yield lease
        finally:
            del self._held[lease.drain]

    async def keep(self) -> None:
        """Renew all leases for ever; run it as a task. While Redis is away they run out, which is right."""
        while True:
            await asyncio.sleep(self._length_s / 6)
            try:
                await self.renew()
            except SpoolError as error:
                _log.warning("leases_not_renewed", drains=len(self._held), error=error.detail)

    async def renew(self) -> None:
        """Renew all leases once; those that another took over stop standing.

        Redis would take a drain that is about to begin for one that was taken over, so it is left alone.
        """
        asked_at = time.monotonic()
        leases = {drain: lease for drain, lease in self._held.items() if lease.has_begun}
        lost = await self._lanes.renew(tuple(leases))
        for drain, lease in leases.items():
            if drain in lost:
                lease.lose()
            else:
                lease.extend(asked_at)
