"""Suppression lists as a project sees them: added, found, listed, removed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import NotFound, SpoolFull
from app.events import SuppressionReason
from app.ids import MessageId, ProjectId
from app.mail.sameness import normal_form
from app.messages import Stream, Suppression
from app.projects.suppressions import Entry, Page, Place, Suppressions, Wanted
from app.settings import DkimSettings, RedisSettings, Settings
from app.spool.client import Redis
from app.spool.scripts import Scripts
from tests.fakes.valkey import ValkeyServer

SHOP, OTHER = ProjectId("shop"), ProjectId("other")
FIRST, LATER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
ALL = Wanted()
BULK, TRANSACTIONAL = Stream.BULK, Stream.TRANSACTIONAL


def entry(
    address: str,
    stream: Stream = TRANSACTIONAL,
    reason: SuppressionReason = SuppressionReason.MANUAL,
    since: datetime = FIRST,
) -> Entry:
    return Entry.of(stream, address, Suppression(reason, since, MessageId("msg_1"), "a note"))


@pytest.fixture
async def lists(valkey_url: str) -> AsyncIterator[Suppressions]:
    settings = Settings(redis=RedisSettings(url=valkey_url), dkim=DkimSettings(required=False))
    async with Redis.connect(settings.redis) as redis:
        yield Suppressions(redis, Scripts.of(redis.keys, settings))


async def addresses(lists: Suppressions, wanted: Wanted = ALL, most: int = 2) -> list[str]:
    """Return the addresses of all pages."""
    found: list[str] = []
    after: Place | None = None
    while True:
        page = await lists.page(SHOP, wanted, after, most)
        assert len(page.entries) <= most
        found += [each.address for each in page.entries]
        if (after := page.last) is None:
            return found


async def test_what_was_added_is_found_in_any_spelling_by_its_project_only(
    lists: Suppressions,
) -> None:
    (added,) = await lists.add(SHOP, [entry("Ada.Lovelace@example.com")])
    assert added.is_new
    assert await lists.of(SHOP, "ADA.lovelace@example.com") == (added.entry,)
    for project, address in ((OTHER, "ada.lovelace@example.com"), (SHOP, "ada@example.com")):
        with pytest.raises(NotFound):
            await lists.of(project, address)


async def test_adding_twice_keeps_the_first(lists: Suppressions) -> None:
    first = entry("ada@example.com")
    later = entry("ADA@example.com", reason=SuppressionReason.COMPLAINED, since=LATER)
    await lists.add(SHOP, [first])
    (again,) = await lists.add(SHOP, [later])
    assert (again.is_new, again.entry) == (False, first)


async def test_one_of_many_who_add_the_same_at_once_adds_it(lists: Suppressions) -> None:
    found = await asyncio.gather(*(lists.add(SHOP, [entry("ada@example.com")]) for _ in range(20)))
    assert sorted(added.is_new for (added,) in found) == [False] * 19 + [True]


async def test_removing_takes_it_off_the_lists_that_are_named(lists: Suppressions) -> None:
    await lists.add(SHOP, [entry("ada@example.com"), entry("ada@example.com", BULK)])
    await lists.remove(SHOP, "Ada@example.com", [BULK])
    assert [each.stream for each in await lists.of(SHOP, "ada@example.com")] == [TRANSACTIONAL]
    with pytest.raises(NotFound):
        await lists.remove(SHOP, "ada@example.com", [BULK])
    with pytest.raises(NotFound):
        await lists.remove(OTHER, "ada@example.com", tuple(Stream))
    await lists.remove(SHOP, "ada@example.com", tuple(Stream))
    assert await addresses(lists) == []


async def test_an_empty_list_leaves_no_key(lists: Suppressions, valkey_url: str) -> None:
    await lists.add(SHOP, [entry("ada@example.com")])
    await lists.remove(SHOP, "ada@example.com", tuple(Stream))
    async with Redis.connect(RedisSettings(url=valkey_url)) as redis:
        assert await redis.call("DBSIZE") == 0


async def test_pages_go_through_streams_and_addresses_in_order(lists: Suppressions) -> None:
    names = [f"{letter}@example.com" for letter in "edcba"]
    await lists.add(SHOP, [entry(name, stream) for name in names for stream in Stream])
    await lists.add(OTHER, [entry("z@example.com")])
    assert await addresses(lists) == sorted(names) * 2
    assert await addresses(lists, Wanted((BULK,))) == sorted(names)
    assert await addresses(lists, most=5) == sorted(names) * 2


async def test_entries_for_other_reasons_are_passed_over(lists: Suppressions) -> None:
    bounced = [entry(f"b{n}@example.com", reason=SuppressionReason.BOUNCED) for n in range(3)]
    await lists.add(SHOP, [*bounced, *(entry(f"a{n}@example.com") for n in range(600))])
    wanted = Wanted(reason=SuppressionReason.BOUNCED)
    assert await addresses(lists, wanted) == [each.address for each in bounced]
    assert [each async for each in lists.all(SHOP, wanted)] == bounced


async def test_a_page_ends_after_a_long_stretch_of_other_reasons_and_says_where_to_go_on(
    lists: Suppressions,
) -> None:
    rare = entry("z@example.com", reason=SuppressionReason.COMPLAINED)
    await lists.add(SHOP, [*(entry(f"u{n:05}@example.com") for n in range(20_500)), rare])
    wanted = Wanted(reason=SuppressionReason.COMPLAINED)
    first = await lists.page(SHOP, wanted, None, 100)
    assert (first.entries, first.last) == ((), Place(TRANSACTIONAL, "u19999@example.com"))
    assert await lists.page(SHOP, wanted, first.last, 100) == Page((rare,), None)


async def test_what_stays_is_listed_once_while_others_come_and_go(lists: Suppressions) -> None:
    stays = [f"s{n:03}@example.com" for n in range(0, 100, 2)]
    await lists.add(SHOP, [entry(address) for address in stays])
    found: list[str] = []
    after: Place | None = None
    for number in range(1, 100, 2):
        page = await lists.page(SHOP, Wanted(), after, 3)
        found += [each.address for each in page.entries]
        if (after := page.last) is None:
            break
        await lists.add(SHOP, [entry(f"s{number:03}@example.com")])
        await lists.remove(SHOP, after.address, tuple(Stream))
        await lists.add(SHOP, [entry(after.address)])
    assert after is None
    assert set(stays) <= set(found)
    assert len(found) == len(set(found))


async def test_a_full_store_takes_no_more_addresses_and_still_lets_them_go(
    own_valkey: ValkeyServer,
) -> None:
    settings = Settings(redis=RedisSettings(url=own_valkey.url), dkim=DkimSettings(required=False))
    async with Redis.connect(settings.redis) as redis:
        lists = Suppressions(redis, Scripts.of(redis.keys, settings))
        await lists.add(SHOP, [entry("ada@example.com")])
        await redis.call("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(SpoolFull):
            await lists.add(SHOP, [entry("bob@example.com")])
        await lists.remove(SHOP, "ada@example.com", tuple(Stream))


@given(st.text(min_size=1, max_size=20))
def test_the_normal_form_is_its_own_normal_form_and_the_same_for_each_case(local: str) -> None:
    address = f"{local}@example.com"
    assert normal_form(normal_form(address)) == normal_form(address)
    assert normal_form(address.lower()) == normal_form(address)


def test_composed_and_decomposed_letters_are_the_same_address() -> None:
    assert normal_form("Ju\u0308rgen@example.com") == normal_form("j\u00fcrgen@example.com")
