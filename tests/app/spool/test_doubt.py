"""Whose final dot may have been sent: written down by the drain, read when its claim is taken over."""

from __future__ import annotations

import pytest

from app.messages import Status
from app.spool.workers.claims import MailClaim
from app.spool.workers.lanes import Fenced
from tests.app.spool.conftest import Spool
from tests.app.spool.test_lanes import END, GO_ON, became, begin, lease_ends, put_back, take_over
from tests.fakes.letters import Letter, keep


async def test_a_takeover_tells_whose_final_dot_was_noted_in_that_turn(spool: Spool) -> None:
    await keep(spool.store, Letter(to=("ann@example.org", "bob@example.org")))
    await keep(spool.store, Letter())
    claim = await begin(spool)
    assert await spool.lanes.doubt(claim, [1])
    assert await spool.lanes.doubt(claim, [0, 1])
    settled = await spool.lanes.settle(claim, became(claim, Status.DELIVERED), GO_ON)
    assert isinstance(settled.next_claim, MailClaim)
    await lease_ends(spool)
    assert (await take_over(spool)).doubted == frozenset()
    await lease_ends(spool)
    taken = await take_over(spool)
    assert await spool.lanes.doubt(taken, [0])
    await lease_ends(spool)
    assert (await take_over(spool)).doubted == {0}


async def test_nothing_is_noted_for_who_lost_the_claim(spool: Spool) -> None:
    await keep(spool.store, Letter())
    claim = await begin(spool)
    await lease_ends(spool)
    taken = await take_over(spool)
    assert not await spool.lanes.doubt(claim, [0])
    await lease_ends(spool)
    assert (await take_over(spool)).doubted == frozenset()
    with pytest.raises(Fenced):
        await spool.lanes.settle(taken, put_back(taken), END)
