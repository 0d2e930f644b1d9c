from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from app.events import EventType
from app.ids import DrainId, EndpointId, ProjectId, new_drain_id
from app.messages import RecipientState, Status, Stream
from app.spool.replies import as_int, as_list, as_text
from app.spool.workers.claims import (
    Claim,
    EndpointLane,
    MailClaim,
    MailLane,
    ParcelClaim,
    parse_lane,
)
from app.spool.workers.lanes import Closing, Fenced, Settlement
from tests.app.spool.conftest import Spool
from tests.fakes.letters import PROJECT, Letter, keep, queued
from tests.fakes.waiting import eventually

LANE = MailLane(PROJECT, Stream.TRANSACTIONAL, "example.org")
END = Closing(go_on=False)
GO_ON = Closing(go_on=True)


async def begin(spool: Spool, drain: DrainId | None = None) -> MailClaim:
    claim = await spool.lanes.begin(LANE, drain or new_drain_id())
    assert isinstance(claim, MailClaim)
    return claim


def became(claim: MailClaim, status: Status, wait: timedelta | None = None) -> list[Settlement]:
    events = queued(claim.message)
    kind = EventType(f"message.{status}")
    return [
        Settlement(replace(state, status=status), wait, replace(events[index], type=kind))
        for index, state in zip(claim.indexes, claim.states, strict=True)
    ]


def put_back(claim: MailClaim) -> list[Settlement]:
    return [Settlement(state, timedelta(0), None) for state in claim.states]


async def take_over(spool: Spool) -> MailClaim:
    (claim,) = await spool.lanes.take_over([new_drain_id()])
    assert isinstance(claim, MailClaim)
    return claim


async def woken(spool: Spool) -> tuple[str, ...]:
    return (await spool.lanes.wake(10))[0]


async def lease_ends(spool: Spool) -> None:
    """Wait until Redis sees the lease of some drain ended."""

    async def ended() -> bool:
        seconds, microseconds = map(as_int, as_list(await spool.redis.call("TIME")))
        now = seconds * 1000 + microseconds // 1000
        return as_int(await spool.redis.call("ZCOUNT", spool.redis.keys.leases, "-inf", now)) > 0

    await eventually(ended)


@pytest.mark.parametrize("lane", [LANE, EndpointLane(PROJECT, EndpointId("end_1"))])
def test_the_name_of_a_lane_reads_back(lane: MailLane | EndpointLane) -> None:
    assert parse_lane(lane.name) == lane


@pytest.mark.parametrize("name", ["", "mail/acme", "mail/acme/nonsense/example.org", "other/a/b"])
def test_what_is_no_lane_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_lane(name)


async def test_an_accepted_message_asks_for_one_drain_and_is_claimed_with_its_bytes(
    spool: Spool,
) -> None:
    message, kept = await keep(spool.store, Letter())
    claim = await begin(spool)
    assert kept.wakes == (LANE.name,)
    assert (claim.message, claim.raw, claim.indexes) == (message, Letter().content, (0,))


async def test_a_claimed_recipient_is_claimed_by_nobody_else(spool: Spool) -> None:
    await keep(spool.store, Letter())
    await begin(spool)
    assert await spool.lanes.begin(LANE, new_drain_id()) is None


async def test_many_drains_claim_each_of_many_recipients_once(spool: Spool) -> None:
    messages = [(await keep(spool.store, Letter()))[0] for _ in range(30)]
    claimed: list[str] = []

    async def drain() -> None:
        claim: Claim | None = await spool.lanes.begin(LANE, new_drain_id())
        while isinstance(claim, MailClaim):
            claimed.append(claim.message.id)
            settled = await spool.lanes.settle(claim, became(claim, Status.DELIVERED), GO_ON)
            claim = settled.next_claim

    await asyncio.gather(*(drain() for _ in range(8)))
    assert sorted(claimed) == sorted(message.id for message in messages)


async def test_recipients_of_one_message_in_one_lane_are_claimed_together(spool: Spool) -> None:
    await keep(spool.store, Letter(to=("a@example.org", "b@example.net", "c@example.org")))
    claim = await begin(spool)
    assert claim.indexes == (0, 2)


async def test_recipients_of_different_messages_are_not_claimed_together(spool: Spool) -> None:
    first, _ = await keep(spool.store, Letter(to=("a@example.org", "b@example.org")))
    second, _ = await keep(spool.store, Letter())
    claim = await begin(spool)
    assert claim.message == first
    settled = await spool.lanes.settle(claim, became(claim, Status.DELIVERED), GO_ON)
    assert isinstance(settled.next_claim, MailClaim)
    assert settled.next_claim.message == second


async def test_a_settled_message_keeps_its_history_and_loses_its_bytes(spool: Spool) -> None:
    message, _ = await keep(spool.store, Letter())
    claim = await begin(spool)
    await spool.lanes.settle(claim, became(claim, Status.DELIVERED), END)
    key = spool.redis.keys.message + message.id
    view = await spool.store.view(PROJECT, message.id)
    assert view.states[0].status is Status.DELIVERED
    assert await spool.redis.call("HGET", key, "raw") is None
    assert await spool.redis.call("TTL", key) != -1
    assert await spool.redis.call("ZCARD", spool.redis.keys.expiries) == 0


async def test_nothing_but_the_message_is_left_when_all_is_settled(spool: Spool) -> None:
    message, _ = await keep(spool.store, Letter())
    claim = await begin(spool)
    await spool.lanes.settle(claim, became(claim, Status.DELIVERED), GO_ON)
    assert await spool.redis.call("KEYS", "*") == [
        f"{spool.redis.keys.message}{message.id}".encode()
    ]


async def test_events_of_a_message_are_numbered_without_gaps(spool: Spool) -> None:
    message, _ = await keep(spool.store, Letter(to=("a@example.org", "b@example.org")))
    claim = await begin(spool)
    later = became(claim, Status.DEFERRED, timedelta(0))
    settled = await spool.lanes.settle(claim, later, GO_ON)
    assert isinstance(settled.next_claim, MailClaim)
    await spool.lanes.settle(settled.next_claim, became(settled.next_claim, Status.DELIVERED), END)
    events = await spool.store.events(PROJECT, message.id)
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.record.type for event in events[::2]] == [
        EventType.QUEUED,
        EventType.DEFERRED,
        EventType.DELIVERED,
    ]


async def test_a_deferred_recipient_is_not_claimed_before_its_time(spool: Spool) -> None:
    await keep(spool.store, Letter())
    claim = await begin(spool)
    await spool.lanes.settle(claim, became(claim, Status.DEFERRED, timedelta(hours=1)), END)
    assert await spool.lanes.begin(LANE, new_drain_id()) is None
    assert (await spool.lanes.wake(10)) == ((), 0)


async def test_a_deferral_never_reaches_beyond_the_end_of_the_message(spool: Spool) -> None:
    await keep(spool.store, Letter(lives=timedelta(milliseconds=50)))
    claim = await begin(spool)
    await spool.lanes.settle(claim, became(claim, Status.DEFERRED, timedelta(hours=9)), END)
    assert await eventually(lambda: spool.lanes.begin(LANE, new_drain_id()))


async def test_a_settlement_may_be_repeated_when_its_answer_was_lost(spool: Spool) -> None:
    message, _ = await keep(spool.store, Letter())
    await keep(spool.store, Letter())
    claim = await begin(spool)
    first = await spool.lanes.settle(claim, became(claim, Status.DELIVERED), GO_ON)
    again = await spool.lanes.settle(claim, became(claim, Status.DELIVERED), GO_ON)
    assert again.next_claim == first.next_claim
    assert len(await spool.store.events(PROJECT, message.id)) == 2


async def test_a_begin_may_be_repeated_when_its_answer_was_lost(spool: Spool) -> None:
    await keep(spool.store, Letter())
    await keep(spool.store, Letter())
    drain = new_drain_id()
    assert await begin(spool, drain) == await begin(spool, drain)


async def test_a_lost_drain_is_taken_over_and_its_word_counts_no_more(spool: Spool) -> None:
    message, _ = await keep(spool.store, Letter())
    claim = await begin(spool)
    await lease_ends(spool)
    taken = await take_over(spool)
    assert (taken.message, taken.indexes) == (message, claim.indexes)
    with pytest.raises(Fenced):
        await spool.lanes.settle(claim, became(claim, Status.DELIVERED), GO_ON)
    await spool.lanes.settle(taken, put_back(taken), END)
    assert (await begin(spool)).states == (RecipientState(due_at=message.created_at),)


async def test_a_lost_takeover_is_taken_over_in_turn(spool: Spool) -> None:
    await keep(spool.store, Letter())
    await begin(spool)
    await lease_ends(spool)
    first = await take_over(spool)
    await lease_ends(spool)
    second = await take_over(spool)
    with pytest.raises(Fenced):
        await spool.lanes.settle(first, put_back(first), END)
    await spool.lanes.settle(second, put_back(second), END)
    assert (await begin(spool)).indexes == (0,)


async def test_a_renewed_lease_is_not_taken_over(spool: Spool) -> None:
    await keep(spool.store, Letter())
    claim = await begin(spool)
    await lease_ends(spool)
    assert await spool.lanes.renew([claim.drain]) == frozenset()
    assert await spool.lanes.take_over([new_drain_id()]) == ()


async def test_renewing_tells_which_leases_are_lost(spool: Spool) -> None:
    await keep(spool.store, Letter())
    claim = await begin(spool)
    await lease_ends(spool)
    await spool.lanes.take_over([new_drain_id()])
    assert await spool.lanes.renew([claim.drain]) == {claim.drain}
    assert await spool.lanes.renew([]) == frozenset()


async def test_a_lane_asks_for_more_drains_as_its_backlog_grows_and_no_more_than_its_places(
    spool: Spool,
) -> None:
    rings = [len((await keep(spool.store, Letter()))[1].wakes) for _ in range(12)]
    assert rings[:5] == [1, 0, 1, 0, 1]
    assert sum(rings) == 3


async def test_the_clock_gives_a_large_backlog_all_its_drains_at_once(spool: Spool) -> None:
    for _ in range(12):
        await keep(spool.store, Letter())
    await spool.redis.call("DEL", spool.redis.keys.lane + LANE.name)
    await spool.redis.call("ZADD", spool.redis.keys.lanes, 1, LANE.name)
    assert await woken(spool) == (LANE.name,) * 3


async def test_reserved_places_lapse_together_however_many_are_added(spool: Spool) -> None:
    await keep(spool.store, Letter())
    await spool.redis.call("HSET", spool.redis.keys.lane + LANE.name, "reserved_until", 9e15)
    for _ in range(6):
        await keep(spool.store, Letter())
    until = await spool.redis.call("HGET", spool.redis.keys.lane + LANE.name, "reserved_until")
    assert float(as_text(until)) == 9e15


async def test_mail_that_waits_behind_a_busy_drain_gets_one_of_its_own_after_a_while(
    spool: Spool,
) -> None:
    await keep(spool.store, Letter())
    await begin(spool)
    assert (await keep(spool.store, Letter()))[1].wakes == ()
    assert await eventually(lambda: woken(spool)) == (LANE.name,)


async def test_no_more_drains_work_on_a_lane_than_it_has_places(spool: Spool) -> None:
    for _ in range(10):
        await keep(spool.store, Letter())
    claims = [await spool.lanes.begin(LANE, new_drain_id()) for _ in range(5)]
    assert [claim is not None for claim in claims] == [True, True, True, False, False]


async def test_a_resting_lane_is_not_woken_until_its_rest_is_over(spool: Spool) -> None:
    await keep(spool.store, Letter())
    claim = await begin(spool)
    rest = Closing(go_on=False, lane_wait=timedelta(milliseconds=300))
    await spool.lanes.settle(claim, put_back(claim), rest)
    assert (await keep(spool.store, Letter()))[1].wakes == ()
    assert (await spool.lanes.wake(10)) == ((), 0)
    assert await eventually(lambda: woken(spool)) == (LANE.name,)
    assert (await begin(spool)).failures == 1


async def test_a_lane_that_failed_has_one_place_until_it_is_as_good_as_new(spool: Spool) -> None:
    for _ in range(10):
        await keep(spool.store, Letter())
    claim = await begin(spool)
    await spool.lanes.settle(
        claim, put_back(claim), Closing(go_on=False, lane_wait=timedelta(milliseconds=1))
    )
    probe = await begin(spool)
    assert await spool.lanes.begin(LANE, new_drain_id()) is None
    await spool.lanes.settle(
        probe, became(probe, Status.DELIVERED), Closing(go_on=True, lane_wait=timedelta(0))
    )
    assert (await begin(spool)).failures == 0


async def test_a_lane_of_one_message_remembers_how_often_it_failed(spool: Spool) -> None:
    await keep(spool.store, Letter())
    rest = Closing(go_on=False, lane_wait=timedelta(milliseconds=1))
    failures = []
    for _ in range(3):
        claim = await eventually(lambda: spool.lanes.begin(LANE, new_drain_id()))
        assert isinstance(claim, MailClaim)
        failures.append(claim.failures)
        await spool.lanes.settle(claim, put_back(claim), rest)
        await eventually(lambda: woken(spool))
    assert failures == [0, 1, 2]


async def test_the_clock_wakes_a_lane_whose_job_was_lost_when_the_reservation_lapses(
    spool: Spool,
) -> None:
    _, kept = await keep(spool.store, Letter())
    assert kept.wakes == (LANE.name,)
    assert (await spool.lanes.wake(10))[0] == ()
    await spool.redis.call("HSET", spool.redis.keys.lane + LANE.name, "reserved_until", 1)
    await spool.redis.call("ZADD", spool.redis.keys.lanes, 1, LANE.name)
    assert (await spool.lanes.wake(10))[0] == (LANE.name,)


async def test_an_overdue_recipient_goes_to_the_head_of_a_resting_lane_and_wakes_it(
    spool: Spool,
) -> None:
    await keep(spool.store, Letter())
    overdue, _ = await keep(spool.store, Letter(lives=timedelta(milliseconds=1)))
    claim = await begin(spool)
    rest = Closing(go_on=False, lane_wait=timedelta(hours=1))
    await spool.lanes.settle(claim, put_back(claim), rest)
    assert await eventually(lambda: spool.lanes.overdue(10)) == (overdue,)
    assert await spool.lanes.hasten(overdue) == (LANE.name,)
    assert (await begin(spool)).message == overdue


async def test_events_go_to_the_endpoints_that_want_them_and_are_bounded(spool: Spool) -> None:
    keys = spool.redis.keys
    await spool.redis.call(
        "HSET", f"{keys.endpoints}acme", "end_all", "*", "end_some", " message.bounced "
    )
    wakes = [(await keep(spool.store, Letter()))[1].wakes for _ in range(4)]
    lane = EndpointLane(PROJECT, EndpointId("end_all"))
    assert lane.name in wakes[0]
    assert await spool.redis.call("ZCARD", keys.due + lane.name) == 3
    assert await spool.redis.call("HGET", f"{keys.dropped}acme", "end_all") == b"1"
    assert await spool.redis.call("EXISTS", f"{keys.due}endpoint/acme/end_some") == 0


async def test_parcels_are_tried_again_or_forgotten(spool: Spool) -> None:
    await spool.redis.call("HSET", f"{spool.redis.keys.endpoints}acme", "end_1", "*")
    await keep(spool.store, Letter(to=("a@example.org", "b@example.org")))
    lane = EndpointLane(PROJECT, EndpointId("end_1"))
    claim = await spool.lanes.begin(lane, new_drain_id())
    assert isinstance(claim, ParcelClaim)
    assert [(parcel.sequence, parcel.tries) for parcel in claim.parcels] == [(1, 0), (2, 0)]
    settled = await spool.lanes.settle_parcels(claim, [None, timedelta(0)], GO_ON)
    assert isinstance(settled.next_claim, ParcelClaim)
    assert [(parcel.sequence, parcel.tries) for parcel in settled.next_claim.parcels] == [(2, 1)]


async def test_projects_have_lanes_of_their_own(spool: Spool) -> None:
    await keep(spool.store, Letter(project=ProjectId("other")))
    assert await spool.lanes.begin(LANE, new_drain_id()) is None
