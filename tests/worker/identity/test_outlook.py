"""The outlook of a mail: what the DNS says of its way, and what it did not say in time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest

from app.messages import TlsWish
from app.rehearsal.prospects import PROSPECT, Exchange, Obstacle, Prospect, Published, Way
from app.settings import DkimSettings, RedisSettings, Settings
from app.settings.delivering import DeliverySettings, DnsSettings, TlsSettings
from app.spool.client import Redis
from app.spool.scripts import Scripts
from app.spool.workers.policies import PolicyShelf
from tests.fakes.dns import DnsServer, Trouble
from tests.fakes.policyhost import ENFORCED, PolicyHost
from worker.identity.outlook import Outlook
from worker.policies.fetching import Fetcher
from worker.policies.policybook import Means, PolicyBook
from worker.policies.protection import Protection
from worker.routing.mx import Router
from worker.routing.resolver import Resolver

AUTHOR = "news.shop.example"


@dataclass
class World:
    dns: DnsServer
    policies: PolicyHost
    outlook: Outlook

    async def look(self, *domains: str, wish: TlsWish = TlsWish.OPPORTUNISTIC) -> Prospect:
        return PROSPECT.decode(await self.outlook.answer([AUTHOR, wish, *domains]))

    async def way(self, domain: str, wish: TlsWish = TlsWish.OPPORTUNISTIC) -> Way:
        (way,) = (await self.look(domain, wish=wish)).ways
        return way

    async def tls(self, wish: TlsWish = TlsWish.OPPORTUNISTIC) -> list[str]:
        """Return the policies of the hosts of x.example; one that is barred has a cross."""
        way = await self.way("x.example", wish)
        return [each.tls + ("†" if each.barred else "") for each in way.exchanges]


@pytest.fixture
async def world(valkey_url: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(DnsServer())
        host = await stack.enter_async_context(PolicyHost("mta-sts.x.example"))
        dns.mx("x.example", (20, "spare.x.example"), (10, "mx.x.example"))
        dns.a("mx.x.example", "127.0.0.1")
        dns.a("spare.x.example", "127.0.0.2")
        dns.a("mta-sts.x.example", host.host)
        yield World(dns, host, await _outlook(stack, dns, host, valkey_url))


async def _outlook(
    stack: AsyncExitStack, dns: DnsServer, host: PolicyHost, redis_url: str
) -> Outlook:
    allowed = (ip_network("127.0.0.0/8"),)
    settings = Settings(
        redis=RedisSettings(url=redis_url),
        dns=DnsSettings(
            nameservers=(dns.address,), validating=True, query_timeout=timedelta(seconds=5)
        ),
        tls=TlsSettings(authorities=host.authorities, mta_sts_port=host.port),
        dkim=DkimSettings(required=False),
        delivery=DeliverySettings(ehlo_name="out.example.com", allowed_networks=allowed),
    )
    redis = await stack.enter_async_context(Redis.connect(settings.redis))
    resolver = await stack.enter_async_context(Resolver(settings.dns))
    fetcher = await stack.enter_async_context(Fetcher.open(settings.tls, resolver, allowed))
    shelf = PolicyShelf(redis, Scripts.of(redis.keys, settings))
    means = Means(resolver, fetcher, shelf, lambda: datetime.now(UTC), lambda: 0.5)
    book = PolicyBook(means)
    stack.push_async_callback(book.close)
    router = Router(resolver, settings.delivery, has_ipv6=False)
    return Outlook(resolver, router, Protection(resolver, book, settings), budget_s=1.0)


async def test_hosts_are_in_the_order_in_which_they_are_tried(world: World) -> None:
    way = await world.way("x.example")
    assert [(each.name, each.preference) for each in way.exchanges] == [
        ("mx.x.example", 10),
        ("spare.x.example", 20),
    ]
    assert way.trouble is None


async def test_a_domain_without_mx_is_its_own_host(world: World) -> None:
    world.dns.a("y.example", "127.0.0.3")
    (exchange,) = (await world.way("y.example")).exchanges
    assert exchange == Exchange("y.example", 0, exchange.tls)


@pytest.mark.parametrize(
    ("domain", "obstacle"),
    [
        ("nowhere.example", Obstacle.UNKNOWN),
        ("null.example", Obstacle.TAKES_NO_MAIL),
        ("hostless.example", Obstacle.UNREACHABLE),
        ("private.example", Obstacle.UNREACHABLE),
        ("broken.example", Obstacle.DNS),
    ],
)
async def test_what_is_in_the_way_is_told(world: World, domain: str, obstacle: Obstacle) -> None:
    world.dns.mx("null.example", (0, "."))
    world.dns.mx("hostless.example", (0, "nothing.example"))
    world.dns.a("private.example", "10.0.0.1")
    world.dns.trouble("broken.example", Trouble.SERVFAIL)
    way = await world.way(domain)
    assert (way.exchanges, way.trouble and way.trouble.obstacle) == ((), obstacle)
    assert way.trouble
    assert not way.trouble.text[0].isdigit()


async def test_the_tls_policy_is_the_one_that_sending_would_keep(world: World) -> None:
    assert await world.tls() == ["opportunistic", "opportunistic"]
    assert await world.tls(TlsWish.VERIFIED) == ["verified", "verified"]
    assert await world.tls(TlsWish.REQUIRE) == ["requiretls†", "requiretls†"]


async def test_a_host_that_the_mta_sts_policy_does_not_name_is_barred(world: World) -> None:
    world.dns.txt("_mta-sts.x.example", "v=STSv1; id=1;")
    world.policies.policies["mta-sts.x.example"] = ENFORCED
    assert await world.tls() == ["mta-sts", "mta-sts†"]


async def test_dane_is_told(world: World) -> None:
    world.dns.signed.add("x.example")
    world.dns.tlsa("_25._tcp.mx.x.example", b"\x03\x01\x01" + b"d" * 32)
    assert await world.tls() == ["dane", "opportunistic"]


async def test_what_is_slow_is_left_out_and_the_rest_is_told(world: World) -> None:
    world.dns.trouble("slow.example", Trouble.SILENCE)
    world.dns.trouble(f"_dmarc.{AUTHOR}", Trouble.SILENCE)
    found = await world.look("slow.example", "x.example")
    assert [way.domain for way in found.ways] == ["x.example"]
    assert found.dmarc is None


@pytest.mark.parametrize(
    ("at", "is_own"), [("_dmarc.news.shop.example", True), ("_dmarc.shop.example", False)]
)
async def test_the_nearest_dmarc_record_is_found(world: World, at: str, is_own: bool) -> None:
    world.dns.txt(at, "v=DMARC1; p=reject")
    found = await world.look()
    assert found.dmarc == Published(at, ("v=DMARC1; p=reject",), is_own=is_own)


async def test_no_dmarc_record_is_told_from_one_that_nobody_knows(world: World) -> None:
    assert (await world.look()).dmarc == Published("", ())
    world.dns.trouble("_dmarc.shop.example", Trouble.SERVFAIL)
    assert (await world.look()).dmarc is None
