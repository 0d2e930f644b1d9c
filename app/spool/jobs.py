"""The contract with arq: an alarm clock that tells a worker to look at a lane, and nothing more.

A job carries the name of a lane. Losing every job loses no mail (the clock rings again for each due
lane), and a doubled job finds nothing to claim.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import structlog
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from app.spool.client import Redis

DRAIN_JOB = "drain"
"""Name of the job that starts a drain; its argument is the name of a lane."""

_log = structlog.get_logger(__name__)


def encode_job(job: Mapping[str, object]) -> bytes:
    """Return a job's bytes: msgpack, since arq's own pickle would run whatever somebody puts into Redis."""
    return msgspec.msgpack.encode(job)


def decode_job(stored: bytes) -> dict[str, object]:
    """Return the job that `encode_job` was given."""
    return msgspec.msgpack.decode(stored, type=dict[str, object])


def arq_pool(redis: Redis) -> ArqRedis:
    """Return arq's client over the connections of `redis`."""
    return ArqRedis(
        redis.pool,
        job_serializer=encode_job,
        job_deserializer=decode_job,
        default_queue_name=redis.keys.queue,
    )


class Alarm:
    """Rings for lanes: each ring becomes one job for whichever worker is next."""

    def __init__(self, pool: ArqRedis) -> None:
        """Use arq's client."""
        self._pool = pool
        self._wanted: asyncio.Queue[str] = asyncio.Queue()

    def ring_soon(self, lanes: Sequence[str]) -> None:
        """Let `keep` ring for each lane, so that nobody has to wait for arq's calls."""
        for lane in lanes:
            self._wanted.put_nowait(lane)

    async def keep(self) -> None:
        """Ring for what `ring_soon` was told, for ever; run it as a task."""
        while True:
            lanes = [await self._wanted.get()]
            while not self._wanted.empty():
                lanes.append(self._wanted.get_nowait())
            await self.ring(lanes)

    async def ring(self, lanes: Sequence[str]) -> None:
        """Ask for one more drain for each lane. Never raises: a lost ring costs a second, not a mail."""
        try:
            await asyncio.gather(*(self._pool.enqueue_job(DRAIN_JOB, lane) for lane in lanes))
        except (RedisError, OSError) as error:
            _log.warning("ring_lost", lanes=len(lanes), error=str(error))
