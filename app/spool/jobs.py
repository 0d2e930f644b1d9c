"""The contract with arq: an alarm clock that tells a worker to look at lanes, and nothing more.

A job carries the names of lanes. Losing every job loses no mail (the clock rings again for each due
lane), and a doubled job finds nothing to claim.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
import structlog
from arq.connections import ArqRedis
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from arq.utils import timestamp_ms
from redis.exceptions import RedisError

from app.spool.client import Redis
from app.spool.scripts import LANES_PER_JOB

DRAIN_JOB = "drain"
"""Name of the job that starts drains; its arguments are the names of lanes."""
INQUIRE_JOB = "inquire"
"""Name of the job that asks a worker: its arguments are the id of the inquiry, its kind, and what it is about."""

_HEAD_START_MS = 24 * 3600 * 1000
"""arq compares the clock of who rings with that of who listens: this much the first may be ahead."""
_EXPIRES_MS = 3600 * 1000
"""How long a job is kept that no worker takes."""

_log = structlog.get_logger(__name__)


def encode_job(job: Mapping[str, object]) -> bytes:
    """Return a job's bytes: msgpack, since arq's own pickle would run whatever somebody puts into Redis.

    Where arq gives a job up it writes an exception beside it, of which the words are kept.
    """
    return msgspec.msgpack.encode(job, enc_hook=str)


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
    """Rings for lanes: each ring becomes a job for whichever worker is next."""

    def __init__(self, pool: ArqRedis) -> None:
        """Use arq's client. `is_heard` tells whether Redis took what was last rung for."""
        self.is_heard = True
        self._pool = pool
        self._asked: list[str] = []
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()

    def ring_soon(self, lanes: Sequence[str]) -> None:
        """Let `keep` ring for each lane, so that nobody has to wait for arq's calls."""
        self._asked += lanes
        if lanes:
            self._wanted.set()

    async def keep(self) -> None:
        """Ring for what `ring_soon` was told, for ever; run it as a task."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self.ring(())

    async def ring(self, lanes: Sequence[str]) -> None:
        """Ask for one more drain for each lane. Never raises: a lost ring costs a second, not a mail.

        Lanes that are asked for while a ring is on its way go together in the next.
        """
        self._asked += lanes
        async with self._turn:
            asked, self._asked = self._asked, []
            if not asked:
                return
            try:
                await self._enqueue(DRAIN_JOB, _in_jobs(asked))
                self.is_heard = True
            except (RedisError, OSError) as error:
                self.is_heard = False
                _log.warning("ring_lost", lanes=len(asked), error=str(error))

    async def inquire(self, *names: str) -> None:
        """Ask a worker (`app.spool.inquiries`). Never raises: an inquiry that is lost has no answer."""
        try:
            await self._enqueue(INQUIRE_JOB, (names,))
        except (RedisError, OSError) as error:
            _log.warning("inquiry_lost", inquiry=names[0], error=str(error))

    async def _enqueue(self, function: str, jobs: Iterable[tuple[str, ...]]) -> None:
        """Do what arq's `enqueue_job` does, but for the two calls that ask whether a fresh id is in use."""
        async with self._pool.pipeline(transaction=True) as step:
            for names in jobs:
                job, now = uuid.uuid4().hex, timestamp_ms()
                content = serialize_job(function, names, {}, None, now, serializer=encode_job)
                step.psetex(job_key_prefix + job, _EXPIRES_MS, content)
                step.zadd(self._pool.default_queue_name, {job: now - _HEAD_START_MS})
            await step.execute()


def _in_jobs(lanes: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(lanes), LANES_PER_JOB):
        yield tuple(lanes[start : start + LANES_PER_JOB])
