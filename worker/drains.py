"""The drains of this process. A job of arq only starts one here and ends at once.

arq looks at every unfinished job of its queue at each poll, so jobs that last as long as their drains
would cost more than the mail (ARCHITECTURE.md has the figures). A drain needs no job to stay alive: its
lease in Redis says that it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from app.errors import SpoolError
from app.spool.workers.claims import EndpointLane, Lane, MailLane, parse_lane
from worker.drain import drain
from worker.parcels import drain_endpoint
from worker.reports.waiting import drain_reports
from worker.resources import Resources

_LOOK_AGAIN_S = 1.0

_log = structlog.get_logger(__name__)


class Drains:
    """Starts drains up to the process' limit, and sees them to their end. Use it with `async with`."""

    def __init__(self, resources: Resources) -> None:
        """Run nothing yet."""
        self._resources = resources
        self._places = asyncio.Semaphore(resources.settings.worker.drains)
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Drains:
        """Open the group that the drains run in."""
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *failure: object) -> None:
        """Wait for all drains."""
        await self._group.__aexit__(None, None, None)

    async def start(self, names: Sequence[str]) -> None:
        """Start a drain of each of these lanes, one after the other, once there is a place for it."""
        for name in names:
            await self._start(name)

    async def _start(self, name: str) -> None:
        lane = parse_lane(name)
        if self._resources.stopping.is_set():
            # A place in the lane is reserved for this drain: another worker shall take it.
            await self._resources.alarm.ring((name,))
            return
        await self._take_place()
        task = self._group.create_task(self._run(lane))
        self._running.add(task)
        task.add_done_callback(self._ended)
        self._resources.metrics.running(len(self._running))

    async def _take_place(self) -> None:
        """Wait for a place; slow hosts keep half of them at most while others wait."""
        while self._places.locked():
            self._resources.carrier.make_room(self._resources.settings.worker.drains // 2)
            try:
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await self._places.acquire()
                return
            except TimeoutError:
                continue
        await self._places.acquire()

    async def stop(self, patience_s: float) -> None:
        """Let each drain finish the mail it is at; cancel those that still wait for a peer after `patience_s`.

        A session that has sent its final dot is not cut: it waits for the reply, and no longer than that
        (RFC 1047 tells what cutting it would do).
        """
        if self._running:
            await asyncio.wait(self._running, timeout=patience_s)
        for task in self._running:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._places.release()
        self._resources.metrics.running(len(self._running))

    async def _run(self, lane: Lane) -> None:
        """Run one drain; the boundary where a fault of ours is logged, and its claim lapses with its lease."""
        try:
            match lane:
                case MailLane():
                    await drain(lane, self._resources)
                case EndpointLane():
                    await drain_endpoint(lane, self._resources)
                case _:
                    await drain_reports(lane, self._resources)
        except SpoolError as error:
            _log.warning("drain_without_redis", lane=lane.name, error=error.detail)
        except Exception:
            self._resources.metrics.failed()
            _log.exception("drain_failed", lane=lane.name)
