"""Lanes that have to rest at a site that lanes wait for: nothing of theirs may go, so they must not be called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeAlias

import pytest

from app.ids import new_drain_id
from app.spool.scripts import Scripts
from app.spool.workers.claims import MailClaim, parse_lane
from app.spool.workers.lanes import Closing, Settlement
from app.spool.workers.sources import Asked, Candidate, NoneFree, SourceBook, SourceRest
from tests.app.spool.conftest import Spool, spool_settings
from tests.app.spool.parts import FREE, SITE, claim, clock_looks, end, pass_time, put_back
from tests.fakes.letters import Letter, keep

HOUR = timedelta(hours=1)
Failure: TypeAlias = Callable[[Spool, SourceBook, MailClaim], Awaitable[tuple[str, ...]]]


@pytest.fixture
async def book(spool: Spool, valkey_url: str) -> SourceBook:
    found = SourceBook(spool.redis, Scripts.of(spool.redis.keys, spool_settings(valkey_url)))
    await found.rest(SourceRest(SITE.name, "a", HOUR))
    return found


async def give_up(spool: Spool, book: SourceBook, held: MailClaim) -> tuple[str, ...]:
    """Find that all sources rest, and put the claim back."""
    chosen = await book.choose(Asked(held.lane, SITE.name, 1), (Candidate("a"),))
    assert isinstance(chosen, NoneFree)
    return await put_back(spool, held)


async def reach_nobody(spool: Spool, _: SourceBook, held: MailClaim) -> tuple[str, ...]:
    """Find no way to the hosts, as where an address of ours is gone."""
    waiting = [Settlement(state, FREE, None) for state in held.states]
    return (await spool.lanes.settle(held, waiting, Closing(False, lane_wait=HOUR))).wakes


@pytest.mark.parametrize("fail", [give_up, reach_nobody])
async def test_a_lane_that_has_to_rest_does_not_call_itself_again_and_again(
    spool: Spool, book: SourceBook, fail: Failure
) -> None:
    holders = [await claim(spool, f"domain{n}.example") for n in range(SITE.first_window)]
    for each in holders:
        assert (await spool.lanes.enter(each, SITE)).wait == FREE
    for _ in range(8):
        await keep(spool.store, Letter(to=("ann@example.org",)))
    waits = await claim(spool)
    assert (await spool.lanes.enter(waits, SITE)).wait > FREE
    await put_back(spool, waits)
    # The alarms of the new mail came to nothing.
    await pass_time(spool.redis, timedelta(seconds=11))
    alarms = [lane for each in holders for lane in await end(spool, each)]
    drains = 0
    while alarms and drains < 50:
        drains += 1
        found = await spool.lanes.begin(parse_lane(alarms.pop()), new_drain_id())
        if isinstance(found, MailClaim):
            alarms += (await spool.lanes.enter(found, SITE)).wakes
            alarms += await fail(spool, book, found)
        alarms += await clock_looks(spool)
    assert drains <= 3
    assert await spool.redis.call("EXISTS", spool.redis.keys.waiting + SITE.name) == 0
