"""Suppression where mail is kept: in the step that accepts, and in the step that claims."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app import messages
from app.events import EventType, SuppressionReason
from app.ids import MessageId, ProjectId, new_drain_id
from app.messages import Message, Status, Stream, Suppression
from app.projects.suppressions import Entry, Suppressions, Wanted
from app.spool.replies import as_int, as_list, as_text
from app.spool.scripts import Scripts
from app.spool.store import Idempotency
from app.spool.workers.claims import MailClaim, MailLane
from app.spool.workers.lanes import Closing, Settlement
from app.spool.workers.reports import INSTALLATION, ReportClaim, ReportLane
from tests.app.spool.conftest import Spool, spool_settings
from tests.fakes.letters import PROJECT, Letter, keep

LANE = MailLane(PROJECT, Stream.TRANSACTIONAL, "example.org")
KEY = Idempotency("order-7", b"fingerprint of the body")
WHY = Suppression(SuppressionReason.UNSUBSCRIBED, datetime(2026, 1, 31, tzinfo=UTC), note="enough")
END = Closing(go_on=False)


@pytest.fixture
def lists(spool: Spool) -> Suppressions:
    scripts = Scripts.of(spool.redis.keys, spool_settings("redis://unused"))
    return Suppressions(spool.redis, scripts)


async def suppress(
    lists: Suppressions,
    address: str = "ann@example.org",
    *,
    project: ProjectId = PROJECT,
    stream: Stream = Stream.TRANSACTIONAL,
) -> None:
    await lists.add(project, [Entry.of(stream, address, WHY)])


async def begin(spool: Spool, lane: MailLane = LANE) -> MailClaim:
    claim = await spool.lanes.begin(lane, new_drain_id())
    assert isinstance(claim, MailClaim)
    return claim


async def statuses(spool: Spool, message: Message) -> list[Status]:
    view = await spool.store.view(message.project, message.id)
    return [state.status for state in view.states]


async def told(spool: Spool, message: Message) -> list[EventType]:
    events = await spool.store.events(message.project, message.id)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    return [event.record.type for event in events]


def settled(claim: MailClaim, status: Status, suppression: Suppression | None = None) -> Settlement:
    state = replace(claim.states[0], status=status)
    return Settlement(state, None, None, suppression=suppression)


async def test_a_suppressed_recipient_ends_when_its_message_is_accepted_and_the_others_go_on(
    spool: Spool, lists: Suppressions
) -> None:
    await suppress(lists)
    message, kept = await keep(spool.store, Letter(to=("Ann@example.org", "bob@example.org")))
    assert [kept.receipt.status(n) for n in (0, 1)] == [Status.SUPPRESSED, Status.QUEUED]
    assert await statuses(spool, message) == [Status.SUPPRESSED, Status.QUEUED]
    assert await told(spool, message) == [EventType.SUPPRESSED, EventType.QUEUED]
    event = (await spool.store.events(PROJECT, message.id))[0].record
    assert event.delivery is not None
    assert (event.delivery.final, event.delivery.suppression) == (True, WHY.reason)
    assert "unsubscribed" in event.delivery.text
    claim = await begin(spool)
    assert (claim.indexes, claim.suppressions) == ((1,), {})


async def test_a_message_whose_recipients_are_all_suppressed_is_finished_at_once(
    spool: Spool, lists: Suppressions
) -> None:
    await suppress(lists)
    message, kept = await keep(spool.store, Letter())
    keys = spool.redis.keys
    assert kept.wakes == ()
    assert await statuses(spool, message) == [Status.SUPPRESSED]
    assert await spool.redis.call("HGET", keys.message + message.id, "raw") is None
    assert as_int(await spool.redis.call("TTL", keys.message + message.id)) > 0
    assert await spool.redis.call("EXISTS", keys.expiries, keys.lanes, keys.due + LANE.name) == 0


async def test_a_repeated_key_gets_the_same_statuses_whatever_the_list_says_now(
    spool: Spool, lists: Suppressions
) -> None:
    await suppress(lists)
    letter = Letter(to=("ann@example.org", "bob@example.org"))
    first, _ = await keep(spool.store, letter, KEY)
    await lists.remove(PROJECT, "ann@example.org", tuple(Stream))
    await suppress(lists, "bob@example.org")
    _, again = await keep(spool.store, letter, KEY)
    assert (again.receipt.message, again.receipt.replayed) == (first.id, True)
    assert again.receipt.suppressed == (0,)
    assert await spool.store.first_receipt(PROJECT, KEY) == again.receipt


async def test_lists_of_streams_and_projects_are_apart(spool: Spool, lists: Suppressions) -> None:
    await suppress(lists, stream=Stream.BULK)
    await suppress(lists, project=ProjectId("other"))
    message, _ = await keep(spool.store, Letter())
    assert await statuses(spool, message) == [Status.QUEUED]
    bulk, _ = await keep(spool.store, Letter(stream=Stream.BULK))
    assert await statuses(spool, bulk) == [Status.SUPPRESSED]
    assert (await begin(spool)).suppressions == {}


async def test_what_is_suppressed_while_it_waits_is_found_by_the_next_claim(
    spool: Spool, lists: Suppressions
) -> None:
    message, _ = await keep(spool.store, Letter(to=("ANN@example.org", "bob@example.org")))
    claim = await begin(spool)
    assert claim.suppressions == {}
    await suppress(lists)
    waiting = [Settlement(state, timedelta(0), None) for state in claim.states]
    again = (await spool.lanes.settle(claim, waiting, Closing(go_on=True))).next_claim
    assert isinstance(again, MailClaim)
    assert (again.message, again.indexes, again.suppressions) == (message, (0, 1), {0: WHY})


async def test_a_repeated_step_finds_what_is_suppressed_too(
    spool: Spool, lists: Suppressions
) -> None:
    await keep(spool.store, Letter())
    await suppress(lists)
    drain = new_drain_id()
    first = await spool.lanes.begin(LANE, drain)
    assert isinstance(first, MailClaim)
    assert first.suppressions == {0: WHY}
    assert await spool.lanes.begin(LANE, drain) == first


async def test_a_claim_that_was_taken_over_comes_with_what_is_suppressed(
    spool: Spool, lists: Suppressions
) -> None:
    await keep(spool.store, Letter())
    claim = await begin(spool)
    await suppress(lists)
    await spool.redis.call("ZADD", spool.redis.keys.leases, 1, claim.drain)
    (taken,) = await spool.lanes.take_over([new_drain_id()])
    assert isinstance(taken, MailClaim)
    assert taken.suppressions == {0: WHY}
    lost = [Settlement(state, timedelta(0), None) for state in taken.states]
    await spool.lanes.settle(taken, lost, END)
    assert (await begin(spool)).suppressions == {0: WHY}


async def test_a_bounce_suppresses_in_the_step_that_settles_it(
    spool: Spool, lists: Suppressions
) -> None:
    message, _ = await keep(spool.store, Letter(to=("Ann@example.org",)))
    waits, _ = await keep(spool.store, Letter(to=("ann@example.org",)))
    claim = await begin(spool)
    why = Suppression(SuppressionReason.BOUNCED, message.created_at, message.id, "550 5.1.1 nobody")
    done = [settled(claim, Status.BOUNCED, why)]
    following = (await spool.lanes.settle(claim, done, Closing(go_on=True))).next_claim
    assert isinstance(following, MailClaim)
    assert (following.message, following.suppressions) == (waits, {0: why})
    entry = Entry(Stream.TRANSACTIONAL, "ann@example.org", why)
    assert await lists.of(PROJECT, "ANN@example.org") == (entry,)


async def test_what_suppressed_an_address_first_stays(spool: Spool, lists: Suppressions) -> None:
    await keep(spool.store, Letter())
    claim = await begin(spool)
    await suppress(lists)
    later = Suppression(SuppressionReason.BOUNCED, datetime.now(UTC), claim.message.id)
    await spool.lanes.settle(claim, [settled(claim, Status.BOUNCED, later)], END)
    assert [entry.why for entry in await lists.of(PROJECT, "ann@example.org")] == [WHY]


async def test_reports_reach_who_is_suppressed_and_suppress_nobody(
    spool: Spool, lists: Suppressions
) -> None:
    message = replace(Letter().message(), reports_on=MessageId("msg_1"), mail_from="")
    tls = replace(Letter(project=INSTALLATION).message(), mail_from="tls@example.com")
    await suppress(lists)
    await suppress(lists, project=INSTALLATION)
    for each in (message, tls):
        await spool.store.keep(messages.Letter(each, (b"Subject: report\r\n\r\n",)), None)
        claim = await begin(spool, MailLane(each.project, each.stream, "example.org"))
        assert (claim.message, claim.suppressions) == (each, {})
        await lists.remove(each.project, "ann@example.org", tuple(Stream))
        await spool.lanes.settle(claim, [settled(claim, Status.BOUNCED, WHY)], END)
        assert [entry async for entry in lists.all(each.project, Wanted())] == []


async def test_endpoints_are_told_of_what_is_suppressed_at_accept(
    spool: Spool, lists: Suppressions
) -> None:
    await suppress(lists)
    endpoints = f"{spool.redis.keys.endpoints}acme"
    await spool.redis.call("HSET", endpoints, "end_1", " message.suppressed ", "end_2", "*")
    _, kept = await keep(spool.store, Letter())
    assert sorted(kept.wakes) == ["endpoint/acme/end_1", "endpoint/acme/end_2"]


async def test_failures_reported_by_mail_have_those_that_are_suppressed(
    spool: Spool, lists: Suppressions
) -> None:
    await suppress(lists)
    message = replace(
        Letter(to=("bob@example.org", "ann@example.org")).message(),
        report_to="ops@example.com",
        late_at=datetime.now(UTC) + timedelta(hours=4),
    )
    kept = await spool.store.keep(messages.Letter(message, (Letter().content,)), None)
    lane = ReportLane(PROJECT)
    assert lane.name in kept.wakes
    claim = await spool.lanes.begin(lane, new_drain_id())
    assert isinstance(claim, ReportClaim)
    assert claim.notice.header == b"Subject: hello\r\n"
    assert [*claim.notice.states] == [1]
    assert claim.notice.states[1].status is Status.SUPPRESSED


async def test_of_copies_of_their_own_the_suppressed_ones_are_not_kept(
    spool: Spool, lists: Suppressions
) -> None:
    await suppress(lists)
    to = ("ann@example.org", "bob@example.org", "cid@example.org")
    message = replace(Letter(to=to).message(), is_merged=True, report_to="ops@example.com")
    copies = tuple(b"Subject: for %d\r\n\r\n" % n for n in range(3))
    await spool.store.keep(messages.Letter(message, copies), None)
    assert await spool.redis.call("HGET", spool.redis.keys.message + message.id, "raw0") is None
    report = await spool.lanes.begin(ReportLane(PROJECT), new_drain_id())
    assert isinstance(report, ReportClaim)
    assert b"for 0" in report.notice.header_for(0)
    claim = await begin(spool)
    assert (claim.indexes, claim.raw, claim.suppressions) == ((1,), copies[1], {})
    await suppress(lists, "cid@example.org")
    following = (
        await spool.lanes.settle(claim, [settled(claim, Status.DELIVERED)], Closing(True))
    ).next_claim
    assert isinstance(following, MailClaim)
    assert (following.indexes, following.raw, following.suppressions) == ((2,), copies[2], {2: WHY})
    await spool.lanes.settle(following, [settled(following, Status.SUPPRESSED)], END)
    left = as_list(await spool.redis.call("HKEYS", spool.redis.keys.message + message.id))
    assert [name for name in left if as_text(name).startswith("raw")] == []
