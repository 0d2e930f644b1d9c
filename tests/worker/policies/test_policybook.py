"""Which MTA-STS policy is in force: over real Redis, DNS and HTTPS, with a clock of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest

from app.errors import SpoolError
from app.settings import DkimSettings, RedisSettings, Settings
from app.settings.delivering import DnsSettings, TlsSettings
from app.spool.client import Redis
from app.spool.replies import as_int, as_text
from app.spool.scripts import Scripts
from app.spool.workers.policies import Mode, PolicyShelf, StsPolicy
from tests.fakes.dns import DnsServer, Trouble
from tests.fakes.policyhost import ENFORCED, PolicyHost
from tests.fakes.valkey import ValkeyServer
from tests.fakes.waiting import eventually
from worker.outcomes.handshake import TlsFailure
from worker.policies.fetching import Fetcher
from worker.policies.policybook import Means, PolicyBook
from worker.routing.resolver import Resolver

NAME, OTHER = "mta-sts.x.example", "mta-sts.y.example"
RECORD = "_mta-sts.x.example"


@dataclass
class World:
    """All that a book works with, and as many books as there are workers."""

    dns: DnsServer
    host: PolicyHost
    redis_url: str
    stack: AsyncExitStack
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def publish(self, id_: str, policy: str = ENFORCED) -> None:
        self.dns.txt(RECORD, f"v=STSv1; id={id_};")
        self.host.policies[NAME] = policy

    async def book(self) -> PolicyBook:
        """Open the book of a worker that has just started."""
        settings = Settings(
            redis=RedisSettings(url=self.redis_url), dkim=DkimSettings(required=False)
        )
        redis = await self.stack.enter_async_context(Redis.connect(settings.redis))
        dns = DnsSettings(nameservers=(self.dns.address,), query_timeout=timedelta(seconds=0.2))
        resolver = await self.stack.enter_async_context(Resolver(dns))
        tls = TlsSettings(authorities=self.host.authorities, mta_sts_port=self.host.port)
        allowed = (ip_network("127.0.0.0/8"),)
        fetcher = await self.stack.enter_async_context(Fetcher.open(tls, resolver, allowed))
        shelf = PolicyShelf(redis, Scripts.of(redis.keys, settings))
        book = PolicyBook(Means(resolver, fetcher, shelf, lambda: self.now, lambda: 0.5))
        self.stack.push_async_callback(book.close)
        return book

    async def let_be_due(self) -> None:
        """Let the refresh of the policy be due, which Redis tells by a clock of its own."""
        async with Redis.connect(RedisSettings(url=self.redis_url)) as redis:
            await redis.call("ZADD", redis.keys.sts_due, "XX", 0, "x.example")

    async def policy(self) -> StsPolicy | None:
        """Ask a worker that has just started."""
        return await (await self.book()).policy("x.example")


@pytest.fixture
async def world(valkey_url: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(DnsServer())
        host = await stack.enter_async_context(PolicyHost(NAME, OTHER))
        dns.a(NAME, host.host)
        dns.a(OTHER, host.host)
        yield World(dns, host, valkey_url, stack)


async def test_a_domain_without_a_record_is_not_asked_for_a_policy(world: World) -> None:
    world.host.policies[NAME] = ENFORCED
    assert await world.policy() is None
    assert not world.host.asked


async def test_a_policy_is_fetched_once_for_all_who_wait_and_all_workers(world: World) -> None:
    world.publish("1")
    book = await world.book()
    found = await asyncio.gather(*(book.policy("x.example") for _ in range(10)))
    assert {policy.hosts for policy in found if policy} == {("mx.x.example",)}
    assert (await world.policy()) == found[0]
    assert world.host.asked[NAME] == 1


@pytest.mark.parametrize("trouble", [Trouble.SERVFAIL, Trouble.SILENCE, None])
async def test_a_policy_outlives_its_record(world: World, trouble: Trouble | None) -> None:
    world.publish("1")
    assert await world.policy()
    if trouble:
        world.dns.trouble(RECORD, trouble)
    else:
        world.dns.remove(RECORD)
    assert await world.policy()


@pytest.mark.parametrize("broken", ["", "version: STSv1\nmode: none\n", "<html>"])
async def test_a_policy_outlives_one_that_makes_no_sense(world: World, broken: str) -> None:
    world.publish("1")
    assert await world.policy()
    world.publish("2", broken)
    policy = await world.policy()
    assert policy
    assert policy.id == "1"


async def test_a_policy_outlives_its_host_but_not_its_own_time(world: World) -> None:
    world.publish("1")
    book = await world.book()
    assert await book.policy("x.example")
    world.publish("2")
    world.host.status = 500
    world.now += timedelta(seconds=86_399)
    assert await book.policy("x.example")
    world.now += timedelta(seconds=2)
    assert await book.policy("x.example") is None


async def test_a_changed_policy_is_in_force_at_once(world: World) -> None:
    world.publish("1")
    book = await world.book()
    assert await book.policy("x.example")
    world.publish("2", ENFORCED.replace("mx.x", "mx2.x"))
    policy = await book.policy("x.example")
    assert policy
    assert policy.hosts == ("mx2.x.example",)


async def test_a_domain_that_takes_its_policy_back_has_none(world: World) -> None:
    world.publish("1")
    book = await world.book()
    assert await book.policy("x.example")
    world.publish("2", "version: STSv1\nmode: none\nmax_age: 60\n")
    assert await book.policy("x.example") is None
    world.dns.remove(RECORD)
    assert await book.policy("x.example") is None


async def test_a_failed_fetch_is_repeated_after_a_while(world: World) -> None:
    world.publish("1")
    world.host.status = 500
    book = await world.book()
    for _ in range(3):
        assert await book.policy("x.example") is None
    assert world.host.asked[NAME] == 1
    world.host.status = 200
    world.now += timedelta(minutes=6)
    assert await book.policy("x.example")


async def test_a_failed_fetch_does_not_hold_up_the_next_policy(world: World) -> None:
    world.publish("1")
    world.host.status = 500
    book = await world.book()
    assert await book.policy("x.example") is None
    world.host.status = 200
    world.publish("2")
    assert await book.policy("x.example")


async def test_the_policy_of_a_parent_domain_is_not_used(world: World) -> None:
    world.publish("1")
    book = await world.book()
    assert await book.policy("sub.x.example") is None
    assert not world.host.asked


async def test_the_refresh_of_a_policy_is_due_before_it_expires(world: World) -> None:
    world.publish("1")
    book = await world.book()
    assert await book.policy("x.example")
    async with Redis.connect(RedisSettings(url=world.redis_url)) as redis:
        due_ms = await redis.call("ZSCORE", redis.keys.sts_due, "x.example")
        end_ms = await redis.call("PEXPIRETIME", redis.keys.sts + "x.example")
    assert 0 < float(as_text(due_ms)) < as_int(end_ms)
    await book.refresh()
    assert world.host.asked[NAME] == 1


async def test_a_refreshed_policy_lives_anew(world: World) -> None:
    world.publish("1")
    book = await world.book()
    first = await book.policy("x.example")
    assert first
    world.now += timedelta(hours=20)
    await world.let_be_due()
    await book.refresh()
    assert world.host.asked[NAME] == 2
    world.now += timedelta(hours=20)
    world.dns.remove(RECORD)
    second = await book.policy("x.example")
    assert second
    assert second.expires_at == first.expires_at + timedelta(hours=20)


async def test_a_host_that_keeps_us_waiting_does_not_hold_up_the_refresh_of_others(
    world: World,
) -> None:
    short = ENFORCED.replace("86400", "1")
    world.publish("1", short)
    world.dns.txt("_mta-sts.y.example", "v=STSv1; id=1;")
    world.host.policies[OTHER] = short
    book = await world.book()
    for domain in ("x.example", "y.example"):
        assert await book.policy(domain)
    world.host.hold = asyncio.Event()
    async with Redis.connect(RedisSettings(url=world.redis_url)) as redis:
        for domain in ("x.example", "y.example"):
            await redis.call("ZADD", redis.keys.sts_due, 0, domain)
            await redis.call("HSET", redis.keys.sts + domain, "used", 2**50)
    refreshing = asyncio.create_task(book.refresh())

    async def are_both_asked() -> bool:
        return world.host.asked == {NAME: 2, OTHER: 2}

    await eventually(are_both_asked)
    world.host.hold.set()
    await refreshing


async def test_a_refresh_is_the_work_of_one_worker(world: World) -> None:
    world.publish("1")
    books = [await world.book() for _ in range(4)]
    assert await books[0].policy("x.example")
    await world.let_be_due()
    await asyncio.gather(*(book.refresh() for book in books))
    await asyncio.gather(*(book.refresh() for book in books))
    assert world.host.asked[NAME] == 2


async def test_a_policy_that_nobody_uses_is_refreshed_no_more(world: World) -> None:
    world.publish("1")
    book = await world.book()
    assert await book.policy("x.example")
    await world.let_be_due()
    async with Redis.connect(RedisSettings(url=world.redis_url)) as redis:
        await redis.call("HSET", redis.keys.sts + "x.example", "used", 1)
        await book.refresh()
        assert not await redis.call("EXISTS", redis.keys.sts_due)
    assert world.host.asked[NAME] == 1


async def test_without_redis_nobody_knows_the_policy(
    world: World, own_valkey: ValkeyServer
) -> None:
    world.publish("1")
    world.redis_url = own_valkey.url
    book = await world.book()
    own_valkey.kill()
    with pytest.raises(SpoolError):
        await book.policy("x.example")


async def test_testing_and_enforcing_policies_are_told_apart(world: World) -> None:
    world.publish("1", ENFORCED.replace("enforce", "testing"))
    policy = await world.policy()
    assert policy
    assert policy.mode is Mode.TESTING


async def test_a_record_that_cannot_be_looked_up_does_not_hold_up_each_mail(world: World) -> None:
    world.publish("1")
    world.dns.trouble(RECORD, Trouble.SERVFAIL)
    book = await world.book()
    for _ in range(3):
        assert await book.policy("x.example") is None
    asked = world.dns.questions[RECORD, "TXT"]
    world.dns.heal(RECORD)
    assert await book.policy("x.example") is None
    assert world.dns.questions[RECORD, "TXT"] == asked

    async def look_later() -> StsPolicy | None:
        world.now += timedelta(minutes=6)
        return await book.policy("x.example")

    assert await eventually(look_later)


@pytest.mark.parametrize(
    ("status", "policy", "failure"),
    [
        (500, ENFORCED, TlsFailure.STS_FETCH),
        (200, "nonsense", TlsFailure.STS_INVALID),
    ],
)
async def test_why_a_policy_cannot_be_had_is_known_until_it_can(
    world: World, status: int, policy: str, failure: TlsFailure
) -> None:
    world.publish("1", policy)
    world.host.status = status
    book = await world.book()
    assert await book.policy("x.example") is None
    trouble = book.trouble("x.example")
    assert trouble
    assert trouble.failure is failure
    world.host.status = 200
    world.publish("2")
    assert await book.policy("x.example")
    assert book.trouble("x.example") is None


async def test_a_policy_that_is_published_no_more_is_no_trouble(world: World) -> None:
    world.publish("1", "nonsense")
    book = await world.book()
    await book.policy("x.example")
    world.dns.remove(RECORD)
    await book.policy("x.example")
    assert book.trouble("x.example") is None


@pytest.mark.parametrize("is_published", [True, False])
async def test_that_a_policy_cannot_be_had_now_is_not_that_there_is_none(
    world: World, is_published: bool
) -> None:
    book = await world.book()
    assert await book.policy("x.example") is None
    assert not book.is_unsure("x.example")
    if is_published:
        world.dns.txt(RECORD, "v=STSv1; id=1;")
    else:
        world.dns.trouble(RECORD, Trouble.SERVFAIL)
    book = await world.book()
    assert await book.policy("x.example") is None
    assert book.is_unsure("x.example")
