"""The shared choice of a source: rests, ceilings of a warm-up, and how long to wait where there is none."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.ids import new_drain_id
from app.messages import Stream
from app.spool.replies import as_int, as_list
from app.spool.scripts import Scripts
from app.spool.workers.claims import MailClaim, MailLane
from app.spool.workers.lanes import Closing, Settlement
from app.spool.workers.sources import Asked, Candidate, Chosen, NoneFree, SourceBook, SourceRest
from tests.app.spool.conftest import Spool, spool_settings
from tests.fakes.letters import PROJECT, Letter, keep
from tests.fakes.waiting import eventually

LANE = MailLane(PROJECT, Stream.TRANSACTIONAL, "example.org")
SITE, ELSEWHERE = "mx.example.org", "mx.example.net"
A, B = Candidate("a"), Candidate("b")
HOUR = timedelta(hours=1)


@pytest.fixture
async def book(spool: Spool, valkey_url: str) -> SourceBook:
    return SourceBook(spool.redis, Scripts.of(spool.redis.keys, spool_settings(valkey_url)))


@pytest.fixture
async def now(spool: Spool) -> datetime:
    seconds, _ = as_list(await spool.redis.call("TIME"))
    return datetime.fromtimestamp(as_int(seconds), UTC)


def warming(name: str, first_day: date, *ceilings: int) -> Candidate:
    return Candidate(name, first_day, ceilings)


def ask(recipients: int = 1, *, site: str = SITE, kept: str | None = None) -> Asked:
    return Asked(LANE, site, recipients, kept)


def until_tomorrow(now: datetime) -> timedelta:
    return datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC) - now


async def test_the_first_in_the_order_is_chosen_for_all_recipients(book: SourceBook) -> None:
    assert await book.choose(ask(7), (A, B)) == Chosen("a", 7)


async def test_a_source_that_rests_is_passed_over_at_that_site_only(book: SourceBook) -> None:
    await book.rest(SourceRest(SITE, "a", HOUR))
    assert await book.choose(ask(), (A, B)) == Chosen("b", 1)
    assert await book.choose(ask(kept="a"), (A, B)) == Chosen("b", 1)
    assert await book.choose(ask(site=ELSEWHERE), (A, B)) == Chosen("a", 1)


async def test_a_rest_that_ends_later_stays(book: SourceBook) -> None:
    await book.rest(SourceRest(SITE, "a", HOUR))
    await book.rest(SourceRest(SITE, "a", timedelta(milliseconds=1)))
    found = await book.choose(ask(), (A,))
    assert isinstance(found, NoneFree)
    assert found.wait > timedelta(minutes=59)


async def test_a_rest_ends(book: SourceBook) -> None:
    await book.rest(SourceRest(SITE, "a", timedelta(milliseconds=1)))

    async def is_back() -> bool:
        return await book.choose(ask(), (A, B)) == Chosen("a", 1)

    assert await eventually(is_back)


async def test_where_all_rest_the_lane_waits_for_the_first_that_is_back(
    book: SourceBook, spool: Spool
) -> None:
    await keep(spool.store, Letter())
    held = await spool.lanes.begin(LANE, new_drain_id())
    assert isinstance(held, MailClaim)
    await book.rest(SourceRest(SITE, "a", 2 * HOUR))
    await book.rest(SourceRest(SITE, "b", HOUR))
    found = await book.choose(ask(), (A, B))
    assert isinstance(found, NoneFree)
    assert found.all_rest
    assert timedelta(minutes=59) < found.wait <= HOUR
    back = [Settlement(state, timedelta(0), None) for state in held.states]
    assert (await spool.lanes.settle(held, back, Closing(False))).wakes == ()
    assert (await spool.lanes.wake(10))[0] == ()
    wanted_at = as_int(await spool.redis.call("ZSCORE", spool.redis.keys.lanes, LANE.name))
    due_at = as_int(await spool.redis.call("HGET", spool.redis.keys.lane + LANE.name, "not_before"))
    assert wanted_at == due_at


async def test_each_day_of_a_warm_up_has_its_ceiling(book: SourceBook, now: datetime) -> None:
    today = now.date()
    for days_ago, most in ((0, 2), (1, 4), (2, 6)):
        source = warming(f"day{days_ago}", today - timedelta(days=days_ago), 2, 4, 6)
        assert await book.choose(ask(10), (source, B)) == Chosen(source.name, most)
        assert await book.choose(ask(10), (source, B)) == Chosen("b", 10)


async def test_after_its_warm_up_a_source_has_no_ceiling(book: SourceBook, now: datetime) -> None:
    warm = warming("warm", now.date() - timedelta(days=3), 2, 4, 6)
    assert await book.choose(ask(1000), (warm,)) == Chosen("warm", 1000)


async def test_before_its_first_day_a_source_is_not_used(book: SourceBook, now: datetime) -> None:
    early = warming("early", now.date() + timedelta(days=1), 2)
    assert await book.choose(ask(), (early, B)) == Chosen("b", 1)
    found = await book.choose(ask(), (early,))
    assert isinstance(found, NoneFree)
    assert found.wait <= until_tomorrow(now)


async def test_a_ceiling_holds_at_each_site_by_itself(book: SourceBook, now: datetime) -> None:
    source = warming("a", now.date(), 1)
    assert await book.choose(ask(), (source, B)) == Chosen("a", 1)
    assert await book.choose(ask(), (source, B)) == Chosen("b", 1)
    assert await book.choose(ask(site=ELSEWHERE), (source, B)) == Chosen("a", 1)


async def test_a_retry_keeps_its_source_and_does_not_count_again(
    book: SourceBook, now: datetime
) -> None:
    source = warming("a", now.date(), 1)
    assert await book.choose(ask(), (source,)) == Chosen("a", 1)
    for _ in range(3):
        assert await book.choose(ask(kept="a"), (source, B)) == Chosen("a", 1)
    assert await book.choose(ask(kept="b"), (B, source)) == Chosen("b", 1)


async def test_a_retry_from_elsewhere_counts(book: SourceBook, now: datetime) -> None:
    source = warming("a", now.date(), 1)
    assert await book.choose(ask(kept="gone"), (source, B)) == Chosen("a", 1)
    assert await book.choose(ask(kept="gone"), (source, B)) == Chosen("b", 1)


async def test_where_all_are_at_their_ceiling_only_what_was_asked_for_waits_until_tomorrow(
    book: SourceBook, spool: Spool, now: datetime
) -> None:
    source = warming("a", now.date(), 1)
    await book.choose(ask(), (source,))
    found = await book.choose(ask(), (source,))
    assert isinstance(found, NoneFree)
    assert not found.all_rest
    assert until_tomorrow(now) - timedelta(minutes=1) < found.wait <= until_tomorrow(now)
    assert not await spool.redis.call("EXISTS", spool.redis.keys.lane + LANE.name)


async def test_the_end_of_a_rest_may_come_before_tomorrow(book: SourceBook, now: datetime) -> None:
    full = warming("full", now.date(), 1)
    await book.choose(ask(), (full,))
    await book.rest(SourceRest(SITE, "a", timedelta(seconds=5)))
    found = await book.choose(ask(), (full, A))
    assert isinstance(found, NoneFree)
    assert not found.all_rest
    assert found.wait <= timedelta(seconds=5)


async def test_the_end_of_a_rest_is_no_chance_for_a_source_at_its_ceiling(
    book: SourceBook, now: datetime
) -> None:
    full, other = warming("full", now.date(), 1), warming("other", now.date(), 1)
    for source in (full, other):
        await book.choose(ask(), (source,))
    await book.rest(SourceRest(SITE, "full", timedelta(milliseconds=1)))
    found = await book.choose(ask(), (full, other))
    assert isinstance(found, NoneFree)
    assert found.wait > until_tomorrow(now) - timedelta(minutes=1)


async def test_what_is_remembered_goes_away_by_itself(
    book: SourceBook, spool: Spool, now: datetime
) -> None:
    await book.choose(ask(), (warming("a", now.date(), 5),))
    await book.rest(SourceRest(SITE, "a", HOUR))
    for key in as_list(await spool.redis.call("KEYS", f"*{SITE}*")):
        assert isinstance(key, bytes)
        assert 0 < as_int(await spool.redis.call("PTTL", key)) <= 2 * 86_400_000


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    ceilings=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    wishes=st.lists(st.integers(1, 8), min_size=1, max_size=30),
)
async def test_many_who_choose_at_a_time_never_exceed_a_ceiling(
    spool: Spool, book: SourceBook, now: datetime, ceilings: list[int], wishes: list[int]
) -> None:
    await spool.redis.call("FLUSHALL")
    sources = [warming(f"s{n}", now.date(), most) for n, most in enumerate(ceilings)]
    answers = await asyncio.gather(*(book.choose(ask(wish), sources) for wish in wishes))
    taken: Counter[str] = Counter()
    for wish, answer in zip(wishes, answers, strict=True):
        if isinstance(answer, Chosen):
            assert 1 <= answer.recipients <= wish
            taken[answer.source] += answer.recipients
    assert all(taken[f"s{n}"] <= most for n, most in enumerate(ceilings))
    if any(isinstance(answer, NoneFree) for answer in answers):
        assert taken.total() == sum(ceilings)
