"""Checks of domains from the question to what endpoints are told, with real DNS and a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from app.events import EventType
from app.identity.domain import Domain, DomainStatus
from app.identity.domains import DomainName, Domains
from app.identity.events import DomainEvent
from app.ids import InquiryId, ProjectId, new_drain_id
from app.projects.endpoints import Endpoints
from app.settings import DkimSettings, RedisSettings, Settings
from app.spool.client import Redis
from app.spool.inquiries import Inquiries
from app.spool.jobs import Alarm, arq_pool
from app.spool.replies import as_bytes, as_int
from app.spool.scripts import Scripts
from app.spool.workers.claims import EndpointLane, ParcelClaim
from app.spool.workers.lanes import Lanes
from tests.fakes.identity import PlainKeys, domains_of
from tests.fakes.waiting import eventually
from tests.worker.identity.servers import Names, name_servers
from worker.identity.checks import DomainChecks
from worker.identity.inquiries import Answers

SHOP, OTHER = ProjectId("shop"), ProjectId("other")
NAME = DomainName(SHOP, "shop.example")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass
class World:
    """What a check works with; `now` is the time, which tests move on."""

    names: Names
    redis: Redis
    settings: Settings
    domains: Domains
    keys: PlainKeys
    now: datetime = field(default_factory=lambda: datetime(2026, 1, 31, 12, tzinfo=UTC))

    @property
    def checks(self) -> DomainChecks:
        """The checks of one worker."""
        alarm = Alarm(arq_pool(self.redis))
        return DomainChecks(
            self.domains,
            self.names.servers,
            alarm,
            self.settings.domains,
            lambda: self.now,
            lambda: 0.5,
        )

    async def create(self, project: ProjectId = SHOP) -> Domain:
        """Let a project claim the domain."""
        return await self.domains.create(project, NAME.name, f"bounces.{NAME.name}")

    async def publish(self, project: ProjectId = SHOP) -> None:
        """Put the records of a project's domain into the zone."""
        domain = await self.domains.one(project, NAME.name)
        self.names.publish(*await self.domains.records(domain))

    async def status(self, project: ProjectId = SHOP) -> DomainStatus:
        """Return where the domain stands."""
        return (await self.domains.one(project, NAME.name)).status

    async def next_check(self) -> timedelta:
        """Return how long the clock waits before it checks the domain."""
        keys = self.redis.keys
        due = as_int(await self.redis.call("ZSCORE", keys.domain_checks, "shop/shop.example"))
        seconds, _ = (as_int(part) for part in await self._time())
        return timedelta(milliseconds=due - 1000 * seconds)

    async def _time(self) -> list[bytes]:
        found = await self.redis.call("TIME")
        assert isinstance(found, list)
        return [part for part in found if isinstance(part, bytes)]


@pytest.fixture
async def world(valkey_url: str) -> AsyncIterator[World]:
    async with made(valkey_url) as world:
        yield world


@asynccontextmanager
async def made(url: str) -> AsyncIterator[World]:
    async with name_servers() as names:
        settings = Settings(
            redis=RedisSettings(url=url), domains=names.settings, dkim=DkimSettings(required=False)
        )
        async with Redis.connect(settings.redis) as redis:
            keys = PlainKeys()
            yield World(names, redis, settings, domains_of(redis, settings, keys), keys)


async def told(world: World, count: int, endpoint: EndpointLane) -> list[DomainEvent]:
    """Return what waits for an endpoint."""
    scripts = Scripts.of(world.redis.keys, world.settings)
    lanes = Lanes(world.redis, scripts, timedelta(hours=1))
    claim = await lanes.begin(endpoint, new_drain_id())
    assert isinstance(claim, ParcelClaim)
    events = [parcel.record for parcel in claim.parcels if isinstance(parcel.record, DomainEvent)]
    assert len(events) == count
    return events


async def test_a_domain_is_verified_by_its_records_and_its_endpoints_are_told(world: World) -> None:
    await world.create()
    endpoints = Endpoints(world.redis, world.settings.webhooks)
    wants = await endpoints.create(
        SHOP, "https://shop.example/hook", [EventType.DOMAIN_VERIFIED], ""
    )
    deaf = await endpoints.create(SHOP, "https://shop.example/hook", [EventType.DELIVERED], "")
    assert await world.checks.check(NAME)
    assert await world.status() is DomainStatus.PENDING
    await world.publish()
    assert await world.checks.check(NAME)
    assert await world.status() is DomainStatus.VERIFIED
    assert world.keys.confirmed == {"shop-r", "shop-e"}
    assert await world.checks.check(NAME)
    (event,) = await told(world, 1, EndpointLane(SHOP, wants.id))
    assert (event.type, event.domain.name, event.domain.events) == (
        EventType.DOMAIN_VERIFIED,
        NAME.name,
        1,
    )
    due = f"{world.redis.keys.due}{EndpointLane(SHOP, deaf.id).name}"
    assert await world.redis.call("EXISTS", due) == 0


async def test_a_stranger_proves_nothing_by_the_records_of_another(world: World) -> None:
    await world.create()
    await world.create(OTHER)
    await world.publish()
    await world.checks.check(NAME)
    await world.checks.check(DomainName(OTHER, NAME.name))
    assert await world.status() is DomainStatus.VERIFIED
    assert await world.status(OTHER) is DomainStatus.PENDING


async def test_a_verified_domain_is_looked_at_daily_and_in_trouble_hourly(world: World) -> None:
    await world.create()
    await world.publish()
    await world.checks.check(NAME)
    assert DAY - 3 * HOUR < await world.next_check() < DAY + 3 * HOUR
    world.names.one.remove("shop-r._domainkey.shop.example")
    await world.checks.check(NAME)
    assert await world.status() is DomainStatus.VERIFIED
    assert await world.next_check() < 2 * HOUR


async def test_records_that_are_gone_for_days_make_a_domain_fail_until_they_are_back(
    world: World,
) -> None:
    await world.create()
    endpoints = Endpoints(world.redis, world.settings.webhooks)
    endpoint = await endpoints.create(SHOP, "https://shop.example/hook", [], "")
    await world.publish()
    await world.checks.check(NAME)
    for server in (world.names.one, world.names.two):
        server.remove("shop-r._domainkey.shop.example")
    for _ in range(5):
        await world.checks.check(NAME)
        world.now += DAY / 2
    assert await world.status() is DomainStatus.FAILING
    await world.publish()
    await world.checks.check(NAME)
    assert await world.status() is DomainStatus.VERIFIED
    events = sorted(
        await told(world, 3, EndpointLane(SHOP, endpoint.id)), key=lambda each: each.domain.events
    )
    assert [(each.type.value, each.domain.events) for each in events] == [
        ("domain.verified", 1),
        ("domain.failing", 2),
        ("domain.verified", 3),
    ]


async def test_name_servers_that_are_down_for_days_do_not_make_a_domain_fail(world: World) -> None:
    await world.create()
    await world.publish()
    await world.checks.check(NAME)
    names = world.names
    for server in (names.top, names.one, names.two):
        server.script = lambda _: None
    checks = DomainChecks(
        world.domains,
        names.servers,
        Alarm(arq_pool(world.redis)),
        world.settings.domains.model_copy(update={"budget": timedelta(milliseconds=50)}),
        lambda: world.now,
        lambda: 0.5,
    )
    for _ in range(6):
        await checks.check(NAME)
        world.now += DAY
    assert await world.status() is DomainStatus.VERIFIED
    world.now += 2 * DAY
    await checks.check(NAME)
    assert await world.status() is DomainStatus.FAILING


async def test_a_check_does_not_bring_back_a_domain_that_was_deleted_meanwhile(
    world: World,
) -> None:
    await world.create()
    await world.publish()
    domain = await world.domains.one(SHOP, NAME.name)
    await world.domains.delete(SHOP, NAME.name)
    assert await world.domains.keep_check(domain, domain, HOUR, None) is None
    assert await world.domains.all(SHOP) == ()
    assert not await world.checks.check(NAME)
    assert await world.domains.due(10) == ()
    assert world.keys.known == set()


async def test_domains_that_an_older_program_has_kept_are_checked_too(world: World) -> None:
    await world.create()
    key = world.redis.keys.domains + SHOP
    stored = as_bytes(await world.redis.call("HGET", key, NAME.name))
    fields = msgspec.msgpack.decode(stored[1:], type=dict[str, object])
    del fields["unseen_since"], fields["events"]
    await world.redis.call("HSET", key, NAME.name, stored[:1] + msgspec.msgpack.encode(fields))
    await world.publish()
    assert await world.checks.check(NAME)
    assert await world.status() is DomainStatus.VERIFIED


async def test_the_clock_gives_each_due_domain_to_one_worker(world: World) -> None:
    await world.create()
    domain = await world.create(OTHER)
    assert await world.domains.due(10) == ()
    await world.domains.hasten(domain, timedelta(0))

    async def due() -> tuple[DomainName, ...]:
        return await world.domains.due(10)

    assert await eventually(due) == (DomainName(OTHER, NAME.name),)
    assert await world.domains.due(10) == ()


async def test_questions_are_answered_and_unknown_ones_are_left(world: World) -> None:
    await world.create()
    await world.publish()
    kept = Inquiries(world.redis, Alarm(arq_pool(world.redis)))
    async with Answers(world.checks, kept) as answers:
        inquiries = Inquiries(world.redis, Heard(answers.start))
        soon, late = timedelta(seconds=20), timedelta(seconds=0.2)
        assert await inquiries.ask("domain", SHOP, NAME.name, patience=soon) == b"checked"
        assert await world.status() is DomainStatus.VERIFIED
        assert await inquiries.ask("domain", SHOP, "gone.example", patience=soon) == b"checked"
        assert await inquiries.ask("weather", "tomorrow", patience=late) is None


async def test_however_many_ask_for_a_check_name_servers_are_asked_once(world: World) -> None:
    domain = await world.create()
    await world.publish()
    kept = Inquiries(world.redis, Alarm(arq_pool(world.redis)))
    async with Answers(world.checks, kept) as answers:
        inquiries, soon = Inquiries(world.redis, Heard(answers.start)), timedelta(seconds=20)
        asking = (inquiries.ask("domain", SHOP, NAME.name, patience=soon) for _ in range(20))
        assert await asyncio.gather(*asking) == [b"checked"] * 20
    assert await world.status() is DomainStatus.VERIFIED
    for record in await world.domains.records(domain):
        assert world.names.one.questions[record.name, record.type.value] == 1


class Heard(Alarm):
    """An alarm that goes to the one worker there is."""

    def __init__(self, start: Callable[[InquiryId, str, list[str]], None]) -> None:
        self._start = start

    async def inquire(self, *names: str) -> None:
        """Bring a question."""
        inquiry, kind, *rest = names
        self._start(InquiryId(inquiry), kind, rest)
