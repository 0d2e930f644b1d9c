from __future__ import annotations

import time
from datetime import timedelta

from app.ids import new_drain_id
from app.messages import Stream
from app.spool.workers.claims import MailLane
from tests.app.spool.conftest import Spool, spool
from tests.fakes.letters import PROJECT, Letter, keep
from tests.fakes.waiting import eventually
from worker.claims.leases import Lease, Leases

__all__ = ["spool"]

LANE = MailLane(PROJECT, Stream.TRANSACTIONAL, "example.org")


def test_a_lease_stands_for_its_length_and_no_longer() -> None:
    assert Lease(new_drain_id(), 60).stands()
    assert not Lease(new_drain_id(), 0).stands()


def test_a_lease_counts_from_before_redis_was_asked() -> None:
    lease = Lease(new_drain_id(), 0)
    lease.extend(time.monotonic() - 1)
    assert not lease.stands()
    lease.extend(time.monotonic() + 60)
    assert lease.stands()


def test_a_late_answer_never_shortens_a_lease() -> None:
    lease = Lease(new_drain_id(), 60)
    lease.extend(time.monotonic() - 3600)
    assert lease.stands()


async def test_renewing_keeps_held_leases_and_loses_those_taken_over(spool: Spool) -> None:
    leases = Leases(spool.lanes, spool.length)
    await keep(spool.store, Letter())
    await keep(spool.store, Letter())
    with leases.hold() as kept, leases.hold() as lost:
        assert await spool.lanes.begin(LANE, kept.drain)
        assert await spool.lanes.begin(LANE, lost.drain)
        for each in (kept, lost):
            each.extend(time.monotonic())
        await spool.redis.call("ZADD", spool.redis.keys.leases, 1, lost.drain)
        assert await eventually(lambda: spool.lanes.take_over([new_drain_id()]))
        await leases.renew()
        assert kept.stands()
        assert not lost.stands()


async def test_a_lease_that_is_no_longer_held_is_not_renewed(spool: Spool) -> None:
    leases = Leases(spool.lanes, spool.length)
    await keep(spool.store, Letter())
    with leases.hold() as lease:
        await spool.lanes.begin(LANE, lease.drain)
    await spool.redis.call("ZADD", spool.redis.keys.leases, 1, lease.drain)
    await leases.renew()
    assert len(await spool.lanes.take_over([new_drain_id()])) == 1


async def test_a_drain_that_is_about_to_begin_loses_nothing_by_a_renewal(spool: Spool) -> None:
    leases = Leases(spool.lanes, timedelta(seconds=60))
    with leases.hold() as lease:
        await leases.renew()
        assert lease.stands()
