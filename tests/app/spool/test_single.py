"""Recipients of the same bytes that have return paths of their own: each is claimed by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.messages import Status
from app.spool.workers.claims import MailClaim
from tests.app.spool.conftest import Spool
from tests.app.spool.test_copies import kept
from tests.app.spool.test_lanes import (
    END,
    GO_ON,
    became,
    begin,
    lease_ends,
    put_back,
    take_over,
)
from tests.fakes.letters import Letter, keep

TO = ("ann@example.org", "bob@example.org", "cat@example.org")
APART = Letter(to=TO, has_paths=True)


async def test_recipients_with_return_paths_of_their_own_share_bytes_and_no_claim(
    spool: Spool,
) -> None:
    message, _ = await keep(spool.store, APART)
    assert await kept(spool, message) == {b"raw"}
    claim: object = await begin(spool)
    claimed = []
    while isinstance(claim, MailClaim):
        claimed.append((claim.indexes, claim.raw, message.return_path(claim.indexes[0])))
        settled = await spool.lanes.settle(claim, became(claim, Status.DELIVERED), GO_ON)
        claim = settled.next_claim
    assert claimed == [((n,), APART.content, f"path{n}@bounces.example.com") for n in range(3)]
    assert await kept(spool, message) == set()


@pytest.mark.parametrize(
    ("letter", "together"),
    [
        (Letter(to=TO), 3),
        (Letter(to=TO, has_paths=True), 1),
        (Letter(to=TO, has_paths=True, is_merged=True), 1),
        (Letter(to=TO[:1], has_paths=True), 1),
    ],
)
async def test_only_what_one_mail_from_can_carry_goes_together(
    spool: Spool, letter: Letter, together: int
) -> None:
    await keep(spool.store, letter)
    claim = await begin(spool)
    assert len(claim.indexes) == together
    assert claim.raw == letter.copies[0]


async def test_who_is_put_off_keeps_its_return_path_and_the_bytes(spool: Spool) -> None:
    message, _ = await keep(spool.store, APART)
    claim = await begin(spool)
    await spool.lanes.settle(claim, became(claim, Status.DEFERRED, timedelta(0)), END)
    again = await begin(spool)
    others = [again.indexes]
    while again.indexes != claim.indexes:
        settled = await spool.lanes.settle(again, became(again, Status.DELIVERED), GO_ON)
        assert isinstance(settled.next_claim, MailClaim)
        again = settled.next_claim
        others.append(again.indexes)
    assert sorted(others) == [(0,), (1,), (2,)]
    assert again.message.return_path(0) == message.return_path(0) == "path0@bounces.example.com"
    assert again.raw == APART.content


async def test_one_that_a_lost_worker_held_is_taken_over_alone(spool: Spool) -> None:
    await keep(spool.store, APART)
    claim = await begin(spool)
    await lease_ends(spool)
    taken = await take_over(spool)
    assert taken.indexes == claim.indexes == (0,)
    await spool.lanes.settle(taken, put_back(taken), END)
    assert len((await begin(spool)).indexes) == 1
