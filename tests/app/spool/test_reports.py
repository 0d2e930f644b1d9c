"""What is to be reported waits in a lane: as long as it takes, and once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app import messages
from app.ids import EndpointId, MessageId, new_drain_id
from app.messages import Message, Status
from app.spool.workers.claims import Claim, EndpointLane, MailClaim, parse_lane
from app.spool.workers.lanes import Settlement
from app.spool.workers.reports import Notice, ReportClaim, ReportLane
from tests.app.spool.conftest import Spool
from tests.app.spool.test_lanes import END, GO_ON, became, begin, lease_ends, woken
from tests.fakes.letters import PROJECT, Letter

LANE = ReportLane(PROJECT)
RAW = b"Subject: hello\r\nX-Long: a\r\n b\r\n\r\nthe body\r\n\r\nof two paragraphs\r\n"
HEADER = b"Subject: hello\r\nX-Long: a\r\n b\r\n"


async def keep(spool: Spool, *to: str, late_in: timedelta = timedelta(hours=4)) -> Message:
    message = replace(
        Letter(to=to or ("ann@example.org",)).message(),
        report_to="ops@example.com",
        late_at=datetime.now(UTC) + late_in,
    )
    await spool.store.keep(messages.Letter(message, (RAW,)), None)
    return message


def reported(claim: MailClaim, status: Status = Status.BOUNCED) -> Sequence[Settlement]:
    return [replace(each, reported=each.state) for each in became(claim, status)]


async def fail(spool: Spool, claim: MailClaim) -> None:
    await spool.lanes.settle(claim, reported(claim), END)


async def report(spool: Spool) -> ReportClaim:
    claim = await spool.lanes.begin(LANE, new_drain_id())
    assert isinstance(claim, ReportClaim)
    return claim


def told(notice: Notice) -> dict[int, Status]:
    return {index: state.status for index, state in notice.states.items()}


def test_the_name_of_a_lane_of_reports_reads_back() -> None:
    assert parse_lane(LANE.name) == LANE


async def test_a_failure_waits_with_the_header_until_it_is_reported(spool: Spool) -> None:
    message = await keep(spool, "ann@example.org", "bob@example.org")
    claim = await begin(spool)
    settled = await spool.lanes.settle(claim, reported(claim), END)
    assert LANE.name in settled.wakes
    notice = (await report(spool)).notice
    assert (notice.message, notice.header) == (message, HEADER)
    assert told(notice) == {0: Status.BOUNCED, 1: Status.BOUNCED}
    # The third event is the first one that it tells of.
    assert notice.member == f"{message.id}/3"


async def test_a_settlement_whose_answer_was_lost_calls_for_one_report(spool: Spool) -> None:
    await keep(spool)
    await keep(spool)
    claim = await begin(spool)
    settlements = reported(claim)
    for _ in range(2):
        await spool.lanes.settle(claim, settlements, GO_ON)
    first = await report(spool)
    assert (await spool.lanes.settle_report(first, None, GO_ON)).next_claim is None


async def test_a_report_that_was_told_leaves_nothing_behind(spool: Spool) -> None:
    await keep(spool, late_in=timedelta(0))
    claim = await begin(spool)
    await fail(spool, claim)
    waiting: Claim | None = await report(spool)
    while isinstance(waiting, ReportClaim):
        waiting = (await spool.lanes.settle_report(waiting, None, GO_ON)).next_claim
    keys = spool.redis.keys
    for pattern in (f"{keys.report}*", f"{keys.due}{LANE.name}"):
        assert await spool.redis.call("KEYS", pattern) == []


async def test_a_report_whose_writer_was_lost_is_claimed_again_as_it_was(spool: Spool) -> None:
    await keep(spool)
    claim = await begin(spool)
    await fail(spool, claim)
    first = await report(spool)
    await lease_ends(spool)
    (taken,) = await spool.lanes.take_over([new_drain_id()])
    assert isinstance(taken, ReportClaim)
    assert taken.notice == first.notice
    await spool.lanes.settle_report(taken, timedelta(0), END)
    assert (await report(spool)).notice == first.notice


async def test_a_failure_is_reported_though_its_message_is_gone(spool: Spool) -> None:
    message = await keep(spool)
    claim = await begin(spool)
    await fail(spool, claim)
    await spool.redis.call("DEL", spool.redis.keys.message + message.id)
    assert (await report(spool)).notice.header == HEADER


async def test_a_message_is_looked_at_again_when_it_would_be_late(spool: Spool) -> None:
    message = await keep(spool, "ann@example.org", "bob@example.org", late_in=timedelta(0))
    assert LANE.name in await woken(spool)
    notice = (await report(spool)).notice
    assert notice.member == f"{message.id}/late"
    assert (notice.message, notice.header) == (message, HEADER)
    assert told(notice) == {0: Status.QUEUED, 1: Status.QUEUED}


async def keep_merged(spool: Spool, *to: str, late_in: timedelta) -> messages.Letter:
    letter = Letter(to=to, is_merged=True)
    late_at = datetime.now(UTC) + late_in
    message = replace(letter.message(), report_to="ops@example.com", late_at=late_at)
    kept = messages.Letter(message, letter.copies)
    await spool.store.keep(kept, None)
    return kept


def head(copy: bytes) -> bytes:
    return copy[: copy.index(b"\r\n\r\n") + 2]


async def test_a_failure_waits_with_the_header_of_the_recipients_own_copy(spool: Spool) -> None:
    letter = await keep_merged(
        spool, "ann@example.org", "bob@example.org", late_in=timedelta(hours=4)
    )
    await fail(spool, await begin(spool))
    await fail(spool, await begin(spool))
    first = await report(spool)
    second = (await spool.lanes.settle_report(first, None, GO_ON)).next_claim
    assert isinstance(second, ReportClaim)
    for index, claim in enumerate((first, second)):
        assert told(claim.notice) == {index: Status.BOUNCED}
        assert claim.notice.header_for(index) == head(letter.copies[index])


async def test_lateness_is_told_with_the_header_of_each_copy_that_is_still_there(
    spool: Spool,
) -> None:
    letter = await keep_merged(
        spool, "ann@example.org", "bob@example.org", "cat@example.net", late_in=timedelta(0)
    )
    claim = await begin(spool)
    await spool.lanes.settle(claim, became(claim, Status.DELIVERED), END)
    notice = (await report(spool)).notice
    assert set(told(notice)) == {0, 1, 2}
    assert [notice.header_for(index) for index in range(3)] == [
        b"",
        *(head(copy) for copy in letter.copies[1:]),
    ]


async def test_before_it_is_late_nobody_looks(spool: Spool) -> None:
    await keep(spool)
    assert LANE.name not in await woken(spool)
    assert await spool.lanes.begin(LANE, new_drain_id()) is None


async def test_a_message_that_is_gone_is_not_late(spool: Spool) -> None:
    message = await keep(spool, late_in=timedelta(0))
    await spool.redis.call("DEL", spool.redis.keys.message + message.id)
    assert await spool.lanes.begin(LANE, new_drain_id()) is None
    assert LANE.name not in await woken(spool)


async def test_a_message_that_asks_for_no_report_is_never_looked_at(spool: Spool) -> None:
    message = Letter().message()
    await spool.store.keep(messages.Letter(message, (RAW,)), None)
    claim = await begin(spool)
    await spool.lanes.settle(claim, became(claim, Status.BOUNCED), END)
    assert await spool.lanes.begin(LANE, new_drain_id()) is None


async def test_what_becomes_of_a_report_stands_in_its_history_and_no_endpoint_is_told(
    spool: Spool,
) -> None:
    endpoint = EndpointId("end_1")
    await spool.redis.call("HSET", spool.redis.keys.endpoints + PROJECT, endpoint, "*")
    message = replace(Letter().message(), mail_from="", reports_on=MessageId("msg_1"))
    kept = await spool.store.keep(messages.Letter(message, (RAW,)), None)
    assert len(kept.wakes) == 1
    claim = await begin(spool)
    await spool.lanes.settle(claim, became(claim, Status.DELIVERED), END)
    events = await spool.store.events(PROJECT, message.id)
    assert [event.record.type for event in events] == ["message.queued", "message.delivered"]
    assert await spool.lanes.begin(EndpointLane(PROJECT, endpoint), new_drain_id()) is None
