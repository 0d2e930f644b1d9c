"""Recipients with bytes of their own: each claim gets those of its recipient, for as long as they are wanted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from app import messages
from app.ids import new_drain_id
from app.messages import Message, Status
from app.spool.codec import MESSAGE
from app.spool.replies import as_bytes, as_list
from app.spool.workers.claims import Claim, MailClaim, MailLane
from tests.app.spool.conftest import Spool
from tests.app.spool.test_lanes import (
    END,
    GO_ON,
    LANE,
    became,
    begin,
    lease_ends,
    put_back,
    take_over,
)
from tests.fakes.letters import PROJECT, Letter, keep

THREE = Letter(to=("ann@example.org", "bob@example.net", "cat@example.org"), is_merged=True)
ANN, BOB, CAT = THREE.copies


async def kept(spool: Spool, message: Message) -> set[bytes]:
    """Return the names of the bytes that are kept of a message."""
    names = as_list(await spool.redis.call("HKEYS", spool.redis.keys.message + message.id))
    return {name for name in map(as_bytes, names) if name.startswith(b"raw")}


def test_copies_are_for_all_or_for_each() -> None:
    with pytest.raises(ValueError, match=r"2 copies where 3 are needed"):
        messages.Letter(THREE.message(), (ANN, BOB))
    with pytest.raises(ValueError, match=r"2 copies where 1 are needed"):
        messages.Letter(Letter().message(), (ANN, BOB))


async def test_recipients_with_copies_of_their_own_are_claimed_one_by_one(spool: Spool) -> None:
    await keep(spool.store, THREE)
    claim: Claim | None = await begin(spool)
    claimed = []
    while isinstance(claim, MailClaim):
        claimed.append((claim.indexes, claim.raw))
        settled = await spool.lanes.settle(claim, became(claim, Status.DELIVERED), GO_ON)
        claim = settled.next_claim
    assert claimed == [((0,), ANN), ((2,), CAT)]
    other = await spool.lanes.begin(replace(LANE, domain="example.net"), new_drain_id())
    assert isinstance(other, MailClaim)
    assert (other.indexes, other.raw) == ((1,), BOB)


async def test_recipients_of_one_copy_are_claimed_together_beside_those_with_their_own(
    spool: Spool,
) -> None:
    await keep(spool.store, Letter(to=("ann@example.org", "bob@example.org")))
    await keep(spool.store, THREE)
    claim = await begin(spool)
    assert (claim.indexes, claim.raw) == ((0, 1), Letter().content)
    settled = await spool.lanes.settle(claim, became(claim, Status.DELIVERED), GO_ON)
    assert isinstance(settled.next_claim, MailClaim)
    assert (settled.next_claim.indexes, settled.next_claim.raw) == ((0,), ANN)


async def test_a_copy_goes_with_its_recipient_and_a_deferred_one_stays(spool: Spool) -> None:
    message, _ = await keep(spool.store, THREE)
    assert await kept(spool, message) == {b"raw0", b"raw1", b"raw2"}
    claim = await begin(spool)
    settled = await spool.lanes.settle(claim, became(claim, Status.DELIVERED), GO_ON)
    assert await kept(spool, message) == {b"raw1", b"raw2"}
    second = settled.next_claim
    assert isinstance(second, MailClaim)
    await spool.lanes.settle(second, became(second, Status.DEFERRED, timedelta(0)), END)
    assert await kept(spool, message) == {b"raw1", b"raw2"}
    again = await begin(spool)
    assert (again.indexes, again.raw) == ((2,), CAT)


async def test_no_copy_is_left_of_a_message_that_is_done(spool: Spool) -> None:
    message, _ = await keep(spool.store, THREE)
    for domain in ("example.org", "example.org", "example.net"):
        lane = MailLane(PROJECT, LANE.stream, domain)
        claim = await spool.lanes.begin(lane, new_drain_id())
        assert isinstance(claim, MailClaim)
        await spool.lanes.settle(claim, became(claim, Status.BOUNCED), END)
    assert await kept(spool, message) == set()
    assert await spool.redis.call("KEYS", "*") == [
        f"{spool.redis.keys.message}{message.id}".encode()
    ]


async def test_answers_that_were_lost_are_given_again_with_the_same_copy(spool: Spool) -> None:
    await keep(spool.store, THREE)
    drain = new_drain_id()
    claim = await begin(spool, drain)
    assert await begin(spool, drain) == claim
    first = await spool.lanes.settle(claim, became(claim, Status.DELIVERED), GO_ON)
    again = await spool.lanes.settle(claim, became(claim, Status.DELIVERED), GO_ON)
    assert again.next_claim == first.next_claim
    assert isinstance(again.next_claim, MailClaim)
    assert again.next_claim.raw == CAT


async def test_what_a_lost_worker_held_is_sent_with_its_own_copy(spool: Spool) -> None:
    message, _ = await keep(spool.store, THREE)
    claim = await begin(spool)
    await lease_ends(spool)
    taken = await take_over(spool)
    assert (taken.message, taken.indexes) == (message, claim.indexes)
    await spool.lanes.settle(taken, put_back(taken), END)
    back = {}
    for _ in range(2):
        held = await begin(spool)
        back[held.indexes] = held.raw
    assert back == {(0,): ANN, (2,): CAT}


async def test_one_whose_time_ended_comes_first_with_its_own_copy(spool: Spool) -> None:
    await keep(spool.store, Letter())
    overdue, _ = await keep(spool.store, replace(THREE, lives=timedelta(milliseconds=1)))
    await spool.lanes.hasten(overdue)
    claim = await begin(spool)
    assert (claim.message, claim.indexes, claim.raw) == (overdue, (0,), ANN)


async def test_the_size_of_a_message_is_that_of_its_largest_copy(spool: Spool) -> None:
    message, _ = await keep(spool.store, THREE)
    view = await spool.store.view(PROJECT, message.id)
    assert view.message.size_bytes == max(map(len, THREE.copies))


def test_a_program_that_knows_of_one_copy_only_leaves_messages_with_several_alone() -> None:
    one, several = MESSAGE.encode(Letter().message()), MESSAGE.encode(THREE.message())
    assert (one[:1], several[:1]) == (b"\x01", b"\x02")
    assert MESSAGE.decode(several).is_merged


async def test_a_message_of_before_is_read_and_claimed_as_one_copy(spool: Spool) -> None:
    message, _ = await keep(spool.store, Letter(to=("ann@example.org", "bob@example.org")))
    key = spool.redis.keys.message + message.id
    stored = as_bytes(await spool.redis.call("HGET", key, "m"))
    fields = msgspec.msgpack.decode(stored[1:])
    del fields["is_merged"]
    await spool.redis.call("HSET", key, "m", stored[:1] + msgspec.msgpack.encode(fields))
    claim = await begin(spool)
    assert (claim.message, claim.indexes, claim.raw) == (message, (0, 1), Letter().content)
