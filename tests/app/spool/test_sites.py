from __future__ import annotations

from datetime import timedelta

import pytest

from app.ids import ProjectId, new_drain_id
from app.messages import Stream
from app.spool.replies import as_int
from app.spool.workers.claims import MailClaim
from app.spool.workers.lanes import Closing, Fenced, Settlement, Site
from tests.app.spool.conftest import Spool
from tests.app.spool.parts import FREE, SITE, claim, clock_looks, end, pass_time, put_back
from tests.fakes.letters import Letter, keep


async def window(spool: Spool) -> int:
    found = await spool.redis.call("HGET", spool.redis.keys.site + SITE.name, "window")
    return SITE.first_window if found is None else as_int(found)


async def test_a_site_has_no_more_drains_than_its_window_whatever_lanes_they_work_on(
    spool: Spool,
) -> None:
    claims = [await claim(spool, f"domain{n}.example") for n in range(4)]
    waits = [(await spool.lanes.enter(each, SITE)).wait for each in claims]
    assert [wait == FREE for wait in waits] == [True, True, False, False]


async def test_a_drain_that_asks_again_keeps_its_place(spool: Spool) -> None:
    held = await claim(spool)
    assert (await spool.lanes.enter(held, SITE)).wait == FREE
    assert (await spool.lanes.enter(held, SITE)).wait == FREE
    assert await spool.redis.call("ZCARD", spool.redis.keys.slots + SITE.name) == 1


async def test_a_lane_that_waits_is_woken_when_a_drain_leaves_and_not_before(spool: Spool) -> None:
    first, second, third = [await claim(spool, f"domain{n}.example") for n in range(3)]
    for each in (first, second, third):
        await spool.lanes.enter(each, SITE)
    assert await put_back(spool, third) == ()
    assert (await spool.lanes.wake(10))[0] == ()
    assert third.lane.name in await end(spool, first)


async def test_the_place_that_a_lane_was_invited_to_is_not_taken_by_another(spool: Spool) -> None:
    first, second, third = [await claim(spool, f"domain{n}.example") for n in range(3)]
    for each in (first, second, third):
        await spool.lanes.enter(each, SITE)
    await put_back(spool, third)
    await end(spool, first)
    assert (await spool.lanes.enter(await claim(spool, "pushing.example"), SITE)).wait > FREE
    invited = await spool.lanes.begin(third.lane, new_drain_id())
    assert isinstance(invited, MailClaim)
    assert (await spool.lanes.enter(invited, SITE)).wait == FREE


async def test_transactional_mail_is_woken_before_bulk_that_waited_longer(spool: Spool) -> None:
    first, second = [await claim(spool, f"domain{n}.example") for n in range(2)]
    bulk = await claim(spool, "bulk.example", stream=Stream.BULK)
    urgent = await claim(spool, "urgent.example")
    for each in (first, second, bulk, urgent):
        await spool.lanes.enter(each, SITE)
    for each in (bulk, urgent):
        await put_back(spool, each)
    assert await end(spool, first) == (urgent.lane.name,)
    assert await end(spool, second) == (bulk.lane.name,)


async def test_a_bulk_drain_leaves_after_its_mail_when_transactional_mail_waits(
    spool: Spool,
) -> None:
    narrow = Site(SITE.name, 1, 1, SITE.rest)
    await keep(spool.store, Letter(to=("b@bulk.example",), stream=Stream.BULK))
    bulk = await claim(spool, "bulk.example", stream=Stream.BULK)
    await spool.lanes.enter(bulk, narrow)
    urgent = await claim(spool, "urgent.example")
    await spool.lanes.enter(urgent, narrow)
    await put_back(spool, urgent)
    done = [Settlement(state, None, None) for state in bulk.states]
    settled = await spool.lanes.settle(bulk, done, Closing(True))
    assert settled.next_claim is None
    assert urgent.lane.name in settled.wakes


async def test_projects_take_turns_however_many_lanes_one_of_them_has(spool: Spool) -> None:
    narrow = Site(SITE.name, 1, 1, SITE.rest)
    holder = await claim(spool)
    await spool.lanes.enter(holder, narrow)
    crowd = [await claim(spool, f"domain{n}.example", project=ProjectId("crowd")) for n in range(5)]
    lonely = await claim(spool, "lonely.example", project=ProjectId("lonely"))
    for each in (*crowd, lonely):
        await spool.lanes.enter(each, narrow)
        await put_back(spool, each)
    woken = []
    for _ in range(3):
        (lane,) = await end(spool, holder)
        woken.append(lane)
        found = await spool.lanes.begin(
            next(each.lane for each in (*crowd, lonely) if each.lane.name == lane), new_drain_id()
        )
        assert isinstance(found, MailClaim)
        assert (await spool.lanes.enter(found, narrow)).wait == FREE
        holder = found
    assert lonely.lane.name in woken[:2]


async def test_mails_that_go_through_widen_the_window_up_to_its_end(spool: Spool) -> None:
    widths = []
    for _ in range(5):
        held = await claim(spool)
        await spool.lanes.enter(held, SITE)
        await end(spool, held, worked=True)
        widths.append(await window(spool))
    assert widths[0] == SITE.first_window + 1
    assert max(widths) <= SITE.window


async def test_failed_connections_narrow_the_window_and_then_let_the_site_rest(
    spool: Spool,
) -> None:
    for _ in range(2):
        held = await claim(spool)
        assert (await spool.lanes.enter(held, SITE)).wait == FREE
        await end(spool, held, worked=False)
    refused = await spool.lanes.enter(await claim(spool, "other.example"), SITE)
    assert timedelta(seconds=50) < refused.wait <= SITE.rest


async def test_a_site_that_asks_to_be_left_alone_is_left_alone(spool: Spool) -> None:
    held = await claim(spool)
    await spool.lanes.enter(held, SITE)
    waiting = [Settlement(state, FREE, None) for state in held.states]
    rest = Closing(False, site_worked=True, site_rest=timedelta(minutes=10))
    await spool.lanes.settle(held, waiting, rest)
    refused = await spool.lanes.enter(await claim(spool, "other.example"), SITE)
    assert timedelta(minutes=9) < refused.wait <= timedelta(minutes=10)


async def test_a_success_between_failures_keeps_the_site_alive(spool: Spool) -> None:
    for worked in (False, True, False, True, False):
        held = await claim(spool)
        assert (await spool.lanes.enter(held, SITE)).wait == FREE
        await end(spool, held, worked=worked)
    assert (await spool.lanes.enter(await claim(spool), SITE)).wait == FREE


async def test_places_of_drains_that_are_no_more_are_given_to_others(spool: Spool) -> None:
    claims = [await claim(spool, f"domain{n}.example") for n in range(3)]
    for each in claims[:2]:
        await spool.lanes.enter(each, SITE)
    await spool.redis.call("DEL", spool.redis.keys.drain + claims[0].drain)
    assert (await spool.lanes.enter(claims[2], SITE)).wait > FREE
    await put_back(spool, claims[2])
    assert await clock_looks(spool) == (claims[2].lane.name,)


async def test_a_drain_that_was_taken_over_gets_no_place(spool: Spool) -> None:
    held = await claim(spool)
    await spool.redis.call("DEL", spool.redis.keys.drain + held.drain)
    with pytest.raises(Fenced):
        await spool.lanes.enter(held, SITE)


async def test_waiting_lanes_that_emptied_meanwhile_block_nobody(spool: Spool) -> None:
    first, second, gone = [await claim(spool, f"domain{n}.example") for n in range(3)]
    for each in (first, second, gone):
        await spool.lanes.enter(each, SITE)
    await end(spool, gone)
    await end(spool, first)
    assert (await spool.lanes.enter(await claim(spool, "next.example"), SITE)).wait == FREE


async def test_whoever_waited_through_a_rest_comes_before_who_asks_when_it_is_over(
    spool: Spool,
) -> None:
    narrow = Site(SITE.name, 1, 1, SITE.rest)
    held = await claim(spool)
    await spool.lanes.enter(held, narrow)
    await end(spool, held, worked=False)
    waits, asks, urgent = [await claim(spool, f"domain{n}.example") for n in range(3)]
    assert (await spool.lanes.enter(waits, narrow)).wait > FREE
    await put_back(spool, waits)
    await pass_time(spool.redis, SITE.rest)
    entered = await spool.lanes.enter(asks, narrow)
    assert (entered.wait > FREE, entered.wakes) == (True, (waits.lane.name,))
    assert (await spool.lanes.enter(urgent, narrow)).wait > FREE


async def test_transactional_mail_that_asks_for_a_free_place_comes_before_bulk_that_waits(
    spool: Spool,
) -> None:
    narrow = Site(SITE.name, 1, 1, SITE.rest)
    held = await claim(spool)
    await spool.lanes.enter(held, narrow)
    await end(spool, held, worked=False)
    bulk = await claim(spool, "bulk.example", stream=Stream.BULK)
    await spool.lanes.enter(bulk, narrow)
    await put_back(spool, bulk)
    await pass_time(spool.redis, SITE.rest)
    assert (await spool.lanes.enter(await claim(spool), narrow)).wait == FREE


async def test_an_invitation_holds_for_a_while_and_no_longer(spool: Spool) -> None:
    narrow = Site(SITE.name, 1, 1, SITE.rest)
    first, late, other = [await claim(spool, f"domain{n}.example") for n in range(3)]
    for each in (first, late):
        await spool.lanes.enter(each, narrow)
    await put_back(spool, late)
    assert late.lane.name in await end(spool, first)
    await pass_time(spool.redis, timedelta(seconds=11))
    assert (await spool.lanes.enter(other, narrow)).wait == FREE
    found = await spool.lanes.begin(late.lane, new_drain_id())
    assert isinstance(found, MailClaim)
    assert (await spool.lanes.enter(found, narrow)).wait > FREE


async def test_an_invitation_of_a_lane_that_never_comes_leaves_nothing_behind(spool: Spool) -> None:
    narrow = Site(SITE.name, 1, 1, SITE.rest)
    first, overdue = [await claim(spool, f"domain{n}.example") for n in range(2)]
    for each in (first, overdue):
        await spool.lanes.enter(each, narrow)
    await put_back(spool, overdue)
    assert overdue.lane.name in await end(spool, first)
    found = await spool.lanes.begin(overdue.lane, new_drain_id())
    assert isinstance(found, MailClaim)
    await end(spool, found)
    for _ in range(2):
        await clock_looks(spool)
        await pass_time(spool.redis, timedelta(seconds=11))
    await clock_looks(spool)
    keys = spool.redis.keys
    assert await spool.redis.call("EXISTS", keys.slots + SITE.name, keys.sites) == 0


@pytest.mark.parametrize("lane_wait", [None, timedelta(hours=1)])
async def test_a_drain_that_goes_to_no_site_leaves_its_place_there_to_others(
    spool: Spool, lane_wait: timedelta | None
) -> None:
    narrow = Site(SITE.name, 1, 1, SITE.rest)
    first, unknown, other = [await claim(spool, f"domain{n}.example") for n in range(3)]
    for each in (first, unknown, other):
        await spool.lanes.enter(each, narrow)
    for each in (unknown, other):
        await put_back(spool, each)
    assert unknown.lane.name in await end(spool, first)
    found = await spool.lanes.begin(unknown.lane, new_drain_id())
    assert isinstance(found, MailClaim)
    waiting = [Settlement(state, timedelta(hours=1), None) for state in found.states]
    closing = Closing(False, lane_wait=lane_wait)
    await spool.lanes.settle(found, waiting, closing)
    assert other.lane.name in await clock_looks(spool)


async def test_a_short_rest_does_not_cut_a_longer_one(spool: Spool) -> None:
    claims = [await claim(spool, f"domain{n}.example") for n in range(2)]
    for each in claims:
        await spool.lanes.enter(each, SITE)
    for each, minutes in zip(claims, (60, 2), strict=True):
        done = [Settlement(state, None, None) for state in each.states]
        rest = Closing(False, site_rest=timedelta(minutes=minutes))
        await spool.lanes.settle(each, done, rest)
    refused = await spool.lanes.enter(await claim(spool), SITE)
    assert refused.wait > timedelta(minutes=59)


async def test_a_drain_leaves_a_site_that_another_was_asked_to_leave_alone(spool: Spool) -> None:
    await keep(spool.store, Letter())
    await keep(spool.store, Letter(to=("bob@other.example",)))
    first, second = await claim(spool), await claim(spool, "other.example")
    for each in (first, second):
        await spool.lanes.enter(each, SITE)
    done = [Settlement(state, None, None) for state in first.states]
    await spool.lanes.settle(first, done, Closing(False, site_rest=timedelta(minutes=2)))
    assert (await spool.lanes.settle(second, done, Closing(True))).next_claim is None


async def test_a_drain_that_was_taken_over_leaves_its_place_to_others(spool: Spool) -> None:
    narrow = Site(SITE.name, 1, 1, SITE.rest)
    await spool.lanes.enter(await claim(spool), narrow)
    waits = await claim(spool, "other.example")
    await spool.lanes.enter(waits, narrow)
    await put_back(spool, waits)
    await pass_time(spool.redis, timedelta(seconds=1))
    await spool.lanes.take_over([new_drain_id()])
    assert waits.lane.name in await clock_looks(spool)
