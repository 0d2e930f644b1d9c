"""Rings: every lane is named in a job, and lanes that are asked for together share one."""

from __future__ import annotations

import asyncio

from app.spool.jobs import Alarm, arq_pool, decode_job, encode_job
from app.spool.replies import as_bytes, as_list
from app.spool.scripts import LANES_PER_JOB
from tests.app.spool.conftest import Spool


async def jobs(spool: Spool) -> list[list[object]]:
    """Return the arguments of the waiting jobs."""
    found = []
    for key in as_list(await spool.redis.call("KEYS", "arq:job:*")):
        job = decode_job(as_bytes(await spool.redis.call("GET", as_bytes(key))))
        assert isinstance(job["a"], list)
        found.append(job["a"])
    return found


async def test_lanes_that_are_asked_for_during_a_ring_go_together(spool: Spool) -> None:
    alarm = Alarm(arq_pool(spool.redis))
    lanes = [f"mail/acme/transactional/d{number}.example" for number in range(LANES_PER_JOB + 1)]
    await asyncio.gather(*(alarm.ring([lane]) for lane in lanes))
    named = await jobs(spool)
    assert sorted(lane for job in named for lane in map(str, job)) == sorted(lanes)
    assert sorted(map(len, named)) == [1, LANES_PER_JOB]


async def test_a_lane_is_named_as_often_as_it_was_asked_for(spool: Spool) -> None:
    lanes = ["mail/acme/transactional/d1.example"] * (LANES_PER_JOB + 2)
    await Alarm(arq_pool(spool.redis)).ring(lanes)
    assert sorted(map(len, await jobs(spool))) == [2, LANES_PER_JOB]


def test_what_arq_says_of_a_job_that_it_gives_up_is_kept_in_words() -> None:
    assert decode_job(encode_job({"r": RuntimeError("no more tries")})) == {"r": "no more tries"}


async def test_a_ring_for_nothing_makes_no_job(spool: Spool) -> None:
    await Alarm(arq_pool(spool.redis)).ring(())
    assert await jobs(spool) == []
