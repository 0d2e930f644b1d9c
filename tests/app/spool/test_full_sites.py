"""A site that gets no more at a time: what its lanes cost while they wait, and that all of their mail goes."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from app.ids import ProjectId, new_drain_id
from app.messages import Stream
from app.spool.replies import as_bytes
from app.spool.workers.claims import MailClaim, parse_lane
from app.spool.workers.lanes import Closing, Settlement, Site
from tests.app.spool.conftest import Spool
from tests.app.spool.parts import FREE, claim, pass_time, put_back
from tests.fakes.letters import Letter, keep

REST = timedelta(seconds=60)
NARROW = Site("mx.example.org", 2, 2, REST)
RATED = Site("mx.example.org", 20, 20, REST, interval=timedelta(milliseconds=100))
TICK = timedelta(seconds=1)
MOST_DRAINS = 3
"""Drains that one lane may have, in the settings of these tests."""


async def commands(spool: Spool) -> int:
    """Return how many commands the server has run, those inside scripts too."""
    statistics = as_bytes(await spool.redis.call("INFO", "commandstats")).decode()
    calls = (line.partition("calls=")[2].partition(",")[0] for line in statistics.splitlines())
    return sum(int(number) for number in calls if number)


async def fill(spool: Spool, site: Site, lanes: int) -> None:
    """Let drains take all places of a site, and lanes wait for one."""
    for number in range(site.window + lanes):
        held = await claim(spool, f"domain{number}.example")
        if (await spool.lanes.enter(held, site)).wait > FREE:
            await put_back(spool, held)


@pytest.mark.parametrize("lanes", [1, 30])
async def test_a_tick_of_the_clock_costs_a_full_site_the_same_however_many_lanes_wait(
    spool: Spool, lanes: int
) -> None:
    await fill(spool, NARROW, lanes)
    for _ in range(20):
        await pass_time(spool.redis, TICK)
        before = await commands(spool)
        assert (await spool.lanes.wake(100))[0] == ()
        assert await commands(spool) - before <= 20


async def test_the_clock_says_that_more_sites_are_to_be_looked_after_than_one_call_does(
    spool: Spool,
) -> None:
    for number in range(5):
        site = Site(f"mx{number}.example.org", 1, 1, REST)
        taken, waits = [await claim(spool, f"{kind}{number}.example") for kind in ("a", "b")]
        await spool.lanes.enter(taken, site)
        await spool.lanes.enter(waits, site)
        await put_back(spool, waits)
        await spool.redis.call("DEL", spool.redis.keys.drain + taken.drain)
    await pass_time(spool.redis, TICK)
    found = [await spool.lanes.wake(2) for _ in range(4)]
    assert [looked_at for _, looked_at in found] == [2, 2, 1, 0]
    assert sum(len(wakes) for wakes, _ in found) == 5


async def let_wait(spool: Spool, site: str, lanes: int) -> None:
    """Let lanes wait for a site that want no drain any more."""
    keys = spool.redis.keys
    await spool.redis.call("HSET", keys.site + site, "first", 1)
    names = [f"mail/acme/bulk/domain{number}.example" for number in range(lanes)]
    scores = [word for place, lane in enumerate(names) for word in (place, lane)]
    await spool.redis.call("ZADD", keys.waiting + site, *scores)
    await spool.redis.call("ZADD", keys.sites, 1, site)


async def test_a_step_passes_over_so_many_emptied_lanes_at_all_its_sites_together(
    spool: Spool,
) -> None:
    sites = [f"mx{number}.example.org" for number in range(4)]
    for site in sites:
        await let_wait(spool, site, 1500)
    left = []
    for _ in range(4):
        await spool.lanes.wake(100)
        waiting = [
            await spool.redis.call("ZCARD", spool.redis.keys.waiting + site) for site in sites
        ]
        left.append(sum(count for count in waiting if isinstance(count, int)))
        await pass_time(spool.redis, TICK)
    assert left == [4000, 2000, 0, 0]


async def test_very_many_lanes_that_emptied_are_passed_over_step_by_step(spool: Spool) -> None:
    keys, site = spool.redis.keys, NARROW.name
    await let_wait(spool, site, 5000)
    left = []
    for _ in range(3):
        await spool.lanes.wake(100)
        left.append(await spool.redis.call("ZCARD", keys.waiting + site))
        await pass_time(spool.redis, TICK)
    assert left == [3000, 1000, 0]


@pytest.mark.parametrize("lanes", [1, 30])
async def test_a_resting_site_is_not_even_looked_at_more_than_once_in_a_minute(
    spool: Spool, lanes: int
) -> None:
    await fill(spool, NARROW, lanes)
    await spool.redis.call("HSET", spool.redis.keys.site + NARROW.name, "dead_until", 9e15)
    costs = []
    for _ in range(20):
        await pass_time(spool.redis, TICK)
        before = await commands(spool)
        assert (await spool.lanes.wake(100))[0] == ()
        costs.append(await commands(spool) - before)
    assert max(costs[1:]) < costs[0]


@dataclass
class Work:
    """Workers that start a drain for each alarm, and carry a mail with each in turn."""

    spool: Spool
    site: Site
    alarms: deque[str] = field(default_factory=deque)
    busy: deque[MailClaim] = field(default_factory=deque)
    counts: Counter[str] = field(default_factory=Counter)

    async def answer_alarms(self) -> None:
        while self.alarms:
            lane = parse_lane(self.alarms.popleft())
            held = await self.spool.lanes.begin(lane, new_drain_id())
            self.counts["started"] += 1
            if not isinstance(held, MailClaim):
                continue
            entered = await self.spool.lanes.enter(held, self.site)
            self.alarms.extend(entered.wakes)
            if entered.wait > FREE:
                self.counts["sent away"] += 1
                self.alarms.extend(await put_back(self.spool, held))
            else:
                self.busy.append(held)

    async def carry_one_each(self) -> None:
        for _ in range(len(self.busy)):
            held = self.busy.popleft()
            done = [Settlement(state, None, None) for state in held.states]
            settled = await self.spool.lanes.settle(held, done, Closing(True, site_worked=True))
            self.counts[f"mails of {held.lane.stream}"] += 1
            self.alarms.extend(settled.wakes)
            if isinstance(settled.next_claim, MailClaim):
                self.busy.append(settled.next_claim)

    async def tick(self) -> None:
        await pass_time(self.spool.redis, TICK)
        await self.spool.lanes.renew([held.drain for held in self.busy])
        self.alarms.extend((await self.spool.lanes.wake(100))[0])

    async def carry_all(self, mails: int) -> int:
        """Carry that many mails, one with each drain in each second; return the seconds it took."""
        for number in range(mails):
            letter = Letter(
                to=(f"ann@domain{number % 6}.example",),
                project=ProjectId(f"project{number % 2}"),
                stream=list(Stream)[number % 2],
            )
            self.alarms.extend((await keep(self.spool.store, letter))[1].wakes)
        seconds = 0
        while sum(self.counts[f"mails of {stream}"] for stream in Stream) < mails:
            await self.answer_alarms()
            await self.carry_one_each()
            await self.tick()
            seconds += 1
            assert seconds < mails, self.counts
        return seconds


async def test_lanes_of_a_full_site_use_its_places_and_start_hardly_a_drain_in_vain(
    spool: Spool,
) -> None:
    work = Work(spool, NARROW)
    assert await work.carry_all(240) <= 240 / NARROW.window + 5
    assert work.counts["sent away"] <= 6 * MOST_DRAINS


async def test_lanes_of_a_site_with_a_rate_use_all_of_it_and_start_hardly_a_drain_in_vain(
    spool: Spool,
) -> None:
    work = Work(spool, RATED)
    seconds = await work.carry_all(240)
    assert seconds <= 240 / 10 + 5
    assert work.counts["sent away"] <= 6 * MOST_DRAINS
