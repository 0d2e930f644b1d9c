"""From hosts to hosts with policies: over real DNS, HTTPS and Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest

from app.errors import SpoolError
from app.events import TlsPolicy
from app.messages import TlsWish
from app.settings import DkimSettings, RedisSettings, Settings
from app.settings.delivering import DeliverySettings, DnsSettings, TlsSettings
from app.spool.client import Redis
from app.spool.scripts import Scripts
from app.spool.workers.policies import PolicyShelf
from tests.fakes.dns import DnsServer, Trouble
from tests.fakes.policyhost import ENFORCED, PolicyHost
from tests.fakes.valkey import ValkeyServer
from worker.policies.fetching import Fetcher
from worker.policies.policybook import Means, PolicyBook
from worker.policies.protection import Protection
from worker.routing.hosts import Host
from worker.routing.resolver import Resolver

MX, SPARE = Host("mx.x.example", "127.0.0.1", 10), Host("spare.x.example", "127.0.0.2", 20)


@dataclass
class World:
    dns: DnsServer
    host: PolicyHost
    redis_url: str
    stack: AsyncExitStack

    async def protection(
        self,
        tls: TlsSettings | None = None,
        *,
        is_validated: bool = True,
        catch_all: str | None = None,
    ) -> Protection:
        """Start a worker's part."""
        dns = DnsSettings(
            nameservers=(self.dns.address,),
            validating=is_validated,
            query_timeout=timedelta(seconds=0.2),
        )
        tls = tls or TlsSettings(authorities=self.host.authorities, mta_sts_port=self.host.port)
        settings = Settings(
            redis=RedisSettings(url=self.redis_url),
            dns=dns,
            tls=tls,
            dkim=DkimSettings(required=False),
            delivery=DeliverySettings(ehlo_name="client.example.org", catch_all=catch_all),
        )
        redis = await self.stack.enter_async_context(Redis.connect(settings.redis))
        resolver = await self.stack.enter_async_context(Resolver(dns))
        allowed = (ip_network("127.0.0.0/8"),)
        fetcher = await self.stack.enter_async_context(Fetcher.open(tls, resolver, allowed))
        shelf = PolicyShelf(redis, Scripts.of(redis.keys, settings))
        means = Means(resolver, fetcher, shelf, lambda: datetime.now(UTC), lambda: 0.5)
        return Protection(resolver, PolicyBook(means), settings)


@pytest.fixture
async def world(valkey_url: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(DnsServer())
        host = await stack.enter_async_context(PolicyHost("mta-sts.x.example"))
        dns.mx("x.example", (10, "mx.x.example"), (20, "spare.x.example"))
        for name, address in (("mx", "127.0.0.1"), ("spare", "127.0.0.2")):
            dns.a(f"{name}.x.example", address)
        dns.a("mta-sts.x.example", host.host)
        yield World(dns, host, valkey_url, stack)


async def _origins(
    protection: Protection, wish: TlsWish = TlsWish.OPPORTUNISTIC, domain: str = "x.example"
) -> list[str]:
    """Return the policies of the two hosts in short; a host that is barred has a cross."""
    route = await protection.protect(domain, (MX, SPARE), wish)
    assert [host.name for host in route] == [MX.name, SPARE.name]
    return [host.policy.origin + ("†" if host.policy.bar else "") for host in route]


def _publish(world: World) -> None:
    world.dns.txt("_mta-sts.x.example", "v=STSv1; id=1;")
    world.host.policies["mta-sts.x.example"] = ENFORCED


def _pin(world: World) -> None:
    world.dns.signed.add("x.example")
    world.dns.tlsa("_25._tcp.mx.x.example", b"\x03\x01\x01" + b"d" * 32)


async def test_without_anybodys_wish_tls_is_opportunistic(world: World) -> None:
    assert await _origins(await world.protection()) == ["opportunistic", "opportunistic"]


async def test_an_mta_sts_policy_holds_for_each_host(world: World) -> None:
    _publish(world)
    assert await _origins(await world.protection()) == ["mta-sts", "mta-sts†"]


async def test_an_mta_sts_policy_of_one_domain_says_nothing_to_others(world: World) -> None:
    _publish(world)
    protection = await world.protection()
    assert await _origins(protection) == ["mta-sts", "mta-sts†"]
    assert await _origins(protection, domain="y.example") == ["opportunistic", "opportunistic"]


async def test_mta_sts_can_be_switched_off(world: World) -> None:
    _publish(world)
    protection = await world.protection(TlsSettings(mta_sts=False))
    assert await _origins(protection) == ["opportunistic", "opportunistic"]
    assert not world.dns.questions["_mta-sts.x.example", "TXT"]


async def test_dane_holds_for_the_host_that_has_records(world: World) -> None:
    _pin(world)
    assert await _origins(await world.protection()) == ["dane", "opportunistic"]


async def test_dane_comes_before_mta_sts(world: World) -> None:
    _pin(world)
    _publish(world)
    assert await _origins(await world.protection()) == ["dane", "mta-sts†"]


async def test_mta_sts_never_makes_up_for_dane(world: World) -> None:
    _pin(world)
    _publish(world)
    world.dns.trouble("_25._tcp.mx.x.example", Trouble.SERVFAIL)
    assert await _origins(await world.protection()) == ["dane†", "mta-sts†"]


async def test_a_host_without_an_answer_does_not_hold_up_the_others(world: World) -> None:
    _pin(world)
    world.dns.trouble("_25._tcp.mx.x.example", Trouble.SILENCE)
    assert await _origins(await world.protection()) == ["dane†", "opportunistic"]


async def test_dane_needs_a_list_of_hosts_that_dnssec_vouches_for(world: World) -> None:
    _pin(world)
    world.dns.mx("y.example", (10, "mx.x.example"), (20, "spare.x.example"))
    protection = await world.protection()
    assert await _origins(protection, domain="y.example") == ["opportunistic", "opportunistic"]
    assert not world.dns.questions["_25._tcp.mx.x.example", "TLSA"]


async def test_dane_needs_a_resolver_that_is_trusted(world: World) -> None:
    _pin(world)
    protection = await world.protection(is_validated=False)
    assert await _origins(protection) == ["opportunistic", "opportunistic"]
    assert not world.dns.questions["_25._tcp.mx.x.example", "TLSA"]


async def test_a_message_may_demand_more_or_less(world: World) -> None:
    _publish(world)
    protection = await world.protection()
    assert await _origins(protection, TlsWish.VERIFIED) == ["mta-sts", "mta-sts†"]
    assert await _origins(protection, TlsWish.REQUIRE) == ["requiretls", "mta-sts†"]
    assert await _origins(protection, TlsWish.OPTIONAL) == ["opportunistic", "opportunistic"]


async def test_the_settings_name_domains_without_tls(world: World) -> None:
    protection = await world.protection(TlsSettings(plain_domains=("X.example",)))
    assert await _origins(protection) == [TlsPolicy.NONE, TlsPolicy.NONE]


async def test_the_catch_all_host_takes_mail_of_any_wish(world: World) -> None:
    _publish(world)
    protection = await world.protection(catch_all="127.0.0.1:2525")
    assert await _origins(protection, TlsWish.REQUIRE) == ["opportunistic", "opportunistic"]


async def test_a_policy_that_may_be_unknown_is_not_taken_for_none(
    world: World, own_valkey: ValkeyServer
) -> None:
    world.redis_url = own_valkey.url
    protection = await world.protection()
    own_valkey.kill()
    with pytest.raises(SpoolError):
        await protection.protect("x.example", (MX,), TlsWish.OPPORTUNISTIC)


async def test_a_busy_lane_asks_once(world: World) -> None:
    _pin(world)
    protection = await world.protection()
    assert await _origins(protection) == await _origins(protection)
    assert world.dns.questions["_25._tcp.mx.x.example", "TLSA"] == 1


async def test_hosts_are_barred_while_nobody_can_tell_whether_their_list_is_signed(
    world: World,
) -> None:
    # The way was found a moment ago: who holds back an answer now must not switch DANE off.
    _pin(world)
    world.dns.trouble("x.example", Trouble.SERVFAIL)
    assert await _origins(await world.protection()) == ["dane†", "dane†"]
    unvalidated = await world.protection(is_validated=False)
    assert await _origins(unvalidated) == ["opportunistic", "opportunistic"]


@pytest.mark.parametrize("is_published", [True, False])
async def test_mail_that_requires_tls_waits_for_a_policy_that_cannot_be_had_now(
    world: World, is_published: bool
) -> None:
    if is_published:  # and its host answers 404
        world.dns.txt("_mta-sts.x.example", "v=STSv1; id=1;")
    protection = await world.protection()
    (host,) = await protection.protect("x.example", (MX,), TlsWish.REQUIRE)
    assert host.policy.bar
    assert host.policy.bar.is_final is not is_published
    assert host.policy.bar.text.startswith("4.7.5" if is_published else "5.7.30")
