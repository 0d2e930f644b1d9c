"""Rates of sites: how many mails over time all drains together may carry to one receiving system."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from app.ids import ProjectId, new_drain_id
from app.messages import Stream
from app.spool.replies import as_int, as_list, as_text
from app.spool.workers.claims import MailClaim, MailLane
from app.spool.workers.lanes import Closing, Settlement, Site
from tests.app.spool.conftest import Spool
from tests.app.spool.parts import FREE, claim, clock_looks, pass_time, put_back
from tests.fakes.letters import PROJECT, Letter, keep

REST = timedelta(seconds=60)
SLOW = Site("mx.example.org", 20, 20, REST, interval=timedelta(minutes=1))
"""One mail a minute, and none saved up."""
SAVING = replace(SLOW, interval=timedelta(milliseconds=500))
"""Two mails a second, and four saved up."""


async def enter(spool: Spool, held: MailClaim, site: Site = SLOW) -> bool:
    """Ask for a place; tell whether it was given, and put the claim back if not."""
    entered = (await spool.lanes.enter(held, site)).wait == FREE
    if not entered:
        await put_back(spool, held)
    return entered


async def go_on(spool: Spool, held: MailClaim) -> MailClaim | None:
    """Settle a claim as delivered and ask for the next one."""
    done = [Settlement(state, None, None) for state in held.states]
    following = (await spool.lanes.settle(held, done, Closing(True))).next_claim
    assert not following or isinstance(following, MailClaim)
    return following if isinstance(following, MailClaim) else None


async def waiting(spool: Spool) -> list[str]:
    found = await spool.redis.call("ZRANGE", spool.redis.keys.waiting + SLOW.name, 0, -1)
    return [as_text(lane) for lane in as_list(found)]


async def now_us(spool: Spool) -> int:
    seconds, microseconds = map(as_int, as_list(await spool.redis.call("TIME")))
    return seconds * 1_000_000 + microseconds


async def test_a_rate_lets_in_what_is_saved_up_and_then_makes_lanes_wait(spool: Spool) -> None:
    held = [await claim(spool, f"domain{n}.example") for n in range(6)]
    assert [await enter(spool, each, SAVING) for each in held] == [True] * 4 + [False] * 2


async def test_a_rate_of_less_than_one_mail_in_two_seconds_saves_up_one(spool: Spool) -> None:
    assert await enter(spool, await claim(spool))
    assert not await enter(spool, await claim(spool, "other.example"))


async def test_a_drain_that_would_exceed_the_rate_leaves_and_its_lane_waits(spool: Spool) -> None:
    await keep(spool.store, Letter())
    held = await claim(spool)
    await enter(spool, held)
    assert await go_on(spool, held) is None
    assert await waiting(spool) == [held.lane.name]


async def test_a_drain_goes_on_while_the_rate_allows_it_and_nobody_waits(spool: Spool) -> None:
    for _ in range(5):
        await keep(spool.store, Letter())
    held: MailClaim | None = await claim(spool)
    carried = 0
    while held and (carried or await enter(spool, held, SAVING)):
        carried += 1
        held = await go_on(spool, held)
    assert carried == 4


async def test_the_clock_invites_as_many_lanes_as_mails_have_become_allowed(spool: Spool) -> None:
    held = [await claim(spool, f"domain{n}.example") for n in range(9)]
    for each in held:
        await enter(spool, each, SAVING)
    assert await clock_looks(spool) == ()
    await pass_time(spool.redis, timedelta(milliseconds=1000))
    assert len(await clock_looks(spool)) == 2
    assert await clock_looks(spool) == ()
    assert len(await waiting(spool)) == 3


async def test_an_invited_lane_has_paid_and_goes_in(spool: Spool) -> None:
    first, second = [await claim(spool, f"domain{n}.example") for n in range(2)]
    await enter(spool, first)
    await enter(spool, second)
    await pass_time(spool.redis, timedelta(minutes=1))
    assert await clock_looks(spool) == (second.lane.name,)
    invited = await spool.lanes.begin(second.lane, new_drain_id())
    assert isinstance(invited, MailClaim)
    assert await enter(spool, invited)
    assert not await enter(spool, await claim(spool, "third.example"))


async def test_an_invitation_that_is_not_taken_up_gives_back_what_it_paid(spool: Spool) -> None:
    first, second = [await claim(spool, f"domain{n}.example") for n in range(2)]
    await enter(spool, first)
    await enter(spool, second)
    await pass_time(spool.redis, timedelta(minutes=1))
    await clock_looks(spool)
    await pass_time(spool.redis, timedelta(seconds=11))
    assert await enter(spool, await claim(spool, "third.example"))


async def test_a_lane_that_emptied_declines_its_invitation_and_gives_back_what_it_paid(
    spool: Spool,
) -> None:
    first, second = [await claim(spool, f"domain{n}.example") for n in range(2)]
    await enter(spool, first)
    await enter(spool, second)
    await pass_time(spool.redis, timedelta(minutes=1))
    await clock_looks(spool)
    await spool.redis.call("DEL", spool.redis.keys.due + second.lane.name)
    assert await spool.lanes.begin(second.lane, new_drain_id()) is None
    assert await enter(spool, await claim(spool, "third.example"))


async def test_a_drain_whose_lane_is_empty_pays_for_nothing(spool: Spool) -> None:
    held = await claim(spool)
    await enter(spool, held, SAVING)
    paid = await spool.redis.call("HGET", spool.redis.keys.site + SAVING.name, "used_until")
    await go_on(spool, held)
    assert paid == await spool.redis.call("HGET", spool.redis.keys.site + SAVING.name, "used_until")


@pytest.mark.parametrize("holder", Stream)
@pytest.mark.parametrize("other", Stream)
async def test_mails_of_a_rated_site_go_in_turn_and_transactional_ones_first(
    spool: Spool, holder: Stream, other: Stream
) -> None:
    await keep(spool.store, Letter(stream=holder))
    held = await claim(spool, stream=holder)
    await enter(spool, held)
    await enter(spool, await claim(spool, project=ProjectId("other"), stream=other))
    await pass_time(spool.redis, timedelta(minutes=1))
    is_ahead = (holder, other) == (Stream.TRANSACTIONAL, Stream.BULK)
    assert (await go_on(spool, held) is not None) == is_ahead


async def test_a_time_that_no_rate_explains_is_forgotten(spool: Spool) -> None:
    """The clock of the machine may have been set back, or the rate was a slower one."""
    await enter(spool, await claim(spool))
    await spool.redis.call("HSET", spool.redis.keys.site + SLOW.name, "used_until", 9e15)
    assert await enter(spool, await claim(spool, "other.example"))


async def test_a_site_that_lost_its_rate_has_none(spool: Spool) -> None:
    await enter(spool, await claim(spool))
    free = replace(SLOW, interval=None)
    for n in range(3):
        assert await enter(spool, await claim(spool, f"domain{n}.example"), free)


async def test_many_drains_together_carry_no_more_than_the_rate_and_what_was_saved_up(
    spool: Spool,
) -> None:
    fast = replace(SLOW, interval=timedelta(milliseconds=20))
    lanes = [MailLane(PROJECT, Stream.TRANSACTIONAL, f"domain{n}.example") for n in range(8)]
    for lane in lanes * 60:
        await keep(spool.store, Letter(to=(f"ann@{lane.domain}",)))
    started, carried = await now_us(spool), 0

    async def drain(lane: MailLane) -> None:
        nonlocal carried
        for _ in range(40):
            held = await spool.lanes.begin(lane, new_drain_id())
            while isinstance(held, MailClaim) and await enter(spool, held, fast):
                carried += 1
                held = await go_on(spool, held)
            await clock_looks(spool)

    await asyncio.gather(*(drain(lane) for lane in lanes))
    passed = timedelta(microseconds=await now_us(spool) - started)
    assert fast.interval
    assert 100 <= carried <= 100 + passed / fast.interval + 1
