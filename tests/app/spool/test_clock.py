"""The clock's steps: whose turn it is, whom it takes over, and how many lanes it rings for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from app.ids import new_drain_id
from app.messages import Stream
from app.spool.jobs import Alarm, arq_pool
from app.spool.replies import as_int, as_list
from app.spool.workers.claims import MailClaim, MailLane
from tests.app.spool.conftest import Spool
from tests.fakes.letters import PROJECT, Letter, keep
from tests.fakes.waiting import eventually

LANE = MailLane(PROJECT, Stream.TRANSACTIONAL, "example.org")


async def now_ms(spool: Spool) -> int:
    """Return the time by Redis' clock."""
    seconds, microseconds = map(as_int, as_list(await spool.redis.call("TIME")))
    return seconds * 1000 + microseconds // 1000


async def ticked(spool: Spool, ago_ms: int) -> None:
    """Let the last tick have been so long ago, and nobody have patience."""
    await spool.redis.call("DEL", spool.redis.keys.clock)
    await spool.redis.call("HSET", spool.redis.keys.clock, "last", await now_ms(spool) - ago_ms)


async def lost_claim(spool: Spool) -> MailClaim:
    """Return a claim whose lease has ended."""
    await keep(spool.store, Letter())
    claim = await spool.lanes.begin(LANE, new_drain_id())
    assert isinstance(claim, MailClaim)
    await spool.redis.call("ZADD", spool.redis.keys.leases, 1, claim.drain)
    return claim


async def test_one_worker_at_a_time_ticks(spool: Spool) -> None:
    assert await spool.lanes.tick()
    assert not await spool.lanes.tick()
    assert await eventually(spool.lanes.tick)


async def test_a_clock_that_was_set_back_ticks_at_once(spool: Spool) -> None:
    await ticked(spool, ago_ms=-3_600_000)
    assert await spool.lanes.tick()
    assert not await spool.lanes.tick()


async def test_after_a_gap_the_living_may_renew_before_they_are_taken_over(spool: Spool) -> None:
    claim = await lost_claim(spool)
    await ticked(spool, ago_ms=3_600_000)
    assert await spool.lanes.tick()
    assert await spool.lanes.take_over([new_drain_id()]) == ()
    assert await spool.lanes.renew([claim.drain]) == frozenset()
    await spool.redis.call("HSET", spool.redis.keys.clock, "patience", 0)
    assert await spool.lanes.take_over([new_drain_id()]) == ()


async def test_the_dead_are_taken_over_when_patience_ends(spool: Spool) -> None:
    await lost_claim(spool)
    await ticked(spool, ago_ms=-3_600_000)
    assert await spool.lanes.tick()
    assert await spool.lanes.take_over([new_drain_id()]) == ()
    assert await eventually(lambda: spool.lanes.take_over([new_drain_id()]))


async def test_a_tick_in_time_takes_over_at_once(spool: Spool) -> None:
    await lost_claim(spool)
    await spool.redis.call(
        "HSET", spool.redis.keys.clock, "last", await now_ms(spool), "patience", 0
    )
    assert await spool.lanes.take_over([new_drain_id()])


async def test_no_more_lanes_are_woken_than_jobs_may_wait_and_none_is_forgotten(
    spool: Spool,
) -> None:
    for number in range(5):
        await keep(spool.store, Letter(to=(f"ann@example{number}.org",)))
    lanes = [f"mail/{PROJECT}/transactional/example{number}.org" for number in range(5)]
    for lane in lanes:
        await spool.redis.call("DEL", spool.redis.keys.lane + lane)
    await spool.redis.call("ZADD", spool.redis.keys.queue, 1, "a job")
    first, looked_at = await spool.lanes.wake(10, most_waiting=22)
    assert (len(first), looked_at) == (2, 2)
    assert await spool.lanes.wake(10, most_waiting=20) == ((), 0)
    rest, _ = await spool.lanes.wake(10, most_waiting=100)
    assert sorted((*first, *rest)) == lanes


async def test_who_rings_may_be_ahead_of_who_listens(spool: Spool) -> None:
    await Alarm(arq_pool(spool.redis)).ring((LANE.name,))
    queue = spool.redis.keys.queue
    hours_ago = await now_ms(spool) - 12 * 3_600_000
    assert as_int(await spool.redis.call("ZCOUNT", queue, "-inf", hours_ago)) == 1


async def test_time_is_up_only_when_our_clock_and_that_of_redis_say_so(spool: Spool) -> None:
    kept, _ = await keep(spool.store, Letter(lives=timedelta(hours=1)))
    claim = await spool.lanes.begin(LANE, new_drain_id())
    assert isinstance(claim, MailClaim)
    assert not claim.is_overdue(kept.expires_at + timedelta(minutes=30))
    late = replace(claim, claimed_at=kept.expires_at)
    assert not late.is_overdue(kept.expires_at - timedelta(minutes=30))
    assert late.is_overdue(kept.expires_at)
