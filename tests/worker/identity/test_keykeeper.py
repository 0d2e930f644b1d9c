"""The keeper against a real store and a real name server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from app.identity.keys.agenda import Agenda, Owner
from app.identity.keys.dkimkeys import DomainKey
from app.identity.keys.keystore import KeyStore
from app.identity.keys.vault import Vault
from app.identity.records import PublicKey, dkim_records
from app.ids import ProjectId
from app.mail.dkim import Algorithm
from app.settings import RedisSettings
from app.settings.delivering import DnsSettings
from app.settings.domains import DomainSettings
from app.spool.client import Redis
from tests.fakes.dns import DnsServer
from tests.worker.identity.servers import QUERY, name_servers, put
from worker.identity.keykeeper import KeyKeeper
from worker.identity.nameservers import NameServers
from worker.routing.resolver import Resolver

SHOP, OTHER = ProjectId("shop"), ProjectId("other")
DOMAIN = "shop.example"
AGE = timedelta(days=180)


def strings(text: str) -> list[str]:
    """Return a text as strings of a TXT record, each of 255 octets at most (RFC 1035 §3.3.14)."""
    return [text[start : start + 255] for start in range(0, len(text), 255)]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Place:
    """A keeper with what it works on."""

    def __init__(
        self,
        redis: Redis,
        resolver: Resolver,
        dns: DnsServer,
        clock: Clock,
        servers: NameServers | None = None,
    ) -> None:
        self.redis = redis
        self.dns = dns
        self.clock = clock
        self.store = KeyStore(redis, Vault([b"s" * 32]), timedelta(days=21), clock)
        self.keeper = KeyKeeper(
            store=self.store,
            agenda=Agenda(redis),
            resolver=resolver,
            servers=servers or NameServers(resolver, DomainSettings(), QUERY.total_seconds()),
            budget=timedelta(seconds=5),
            rotate_after=AGE,
            clock=clock,
        )

    def publish(self, *keys: DomainKey, domain: str = DOMAIN) -> None:
        for key in keys:
            self.dns.txt(f"{key.selector}._domainkey.{domain}", strings(key.record))

    async def look(self) -> None:
        """Look now, whenever the next look is planned."""
        for owner in (Owner(SHOP, DOMAIN), Owner(OTHER, DOMAIN)):
            name = f"{owner.project}:{owner.domain}"
            await self.redis.call("ZADD", self.redis.keys.dkim_looks, "XX", 0, name)
        await self.keeper.look()

    async def signing(self, project: ProjectId = SHOP) -> set[str]:
        return {key.selector for key in (await self.store.signers(project, DOMAIN)).keys}


@pytest.fixture
async def place(valkey_url: str) -> AsyncIterator[Place]:
    async with (
        DnsServer() as dns,
        Redis.connect(RedisSettings(url=valkey_url)) as redis,
        Resolver(DnsSettings(nameservers=(dns.address,))) as resolver,
    ):
        yield Place(redis, resolver, dns, Clock())


async def test_keys_sign_once_their_records_are_published(place: Place) -> None:
    made = await place.store.rotate(SHOP, DOMAIN)
    await place.look()
    assert await place.signing() == set()
    place.publish(*made)
    await place.look()
    assert await place.signing() == {key.selector for key in made}


async def test_a_name_server_that_lags_behind_keeps_a_key_waiting(valkey_url: str) -> None:
    async with (
        Redis.connect(RedisSettings(url=valkey_url)) as redis,
        name_servers() as names,
    ):
        place = Place(redis, names.resolver, names.top, Clock(), names.servers)
        made = await place.store.rotate(SHOP, DOMAIN)
        records = dkim_records(DOMAIN, [PublicKey(key.selector, key.record) for key in made])
        for record in records:
            put(names.top, record)
            put(names.one, record)
        await place.look()
        assert (await place.store.signers(SHOP, DOMAIN)).keys == ()
        for record in records:
            put(names.two, record)
        await place.look()
        assert len((await place.store.signers(SHOP, DOMAIN)).keys) == 2


async def test_each_key_waits_for_its_own_record(place: Place) -> None:
    rsa = next(
        key for key in await place.store.rotate(SHOP, DOMAIN) if key.algorithm is Algorithm.RSA
    )
    place.publish(rsa)
    await place.look()
    assert await place.signing() == {rsa.selector}


async def test_records_of_another_project_prove_nothing(place: Place) -> None:
    theirs = await place.store.rotate(OTHER, DOMAIN)
    await place.store.rotate(SHOP, DOMAIN)
    place.publish(*theirs)
    await place.look()
    assert await place.signing() == set()
    assert await place.signing(OTHER) == {key.selector for key in theirs}


@pytest.mark.parametrize(
    "records",
    [
        ("v=DKIM1; k=rsa; p=",),
        ("v=DKIM1; k=ed25519; p={p}", "v=DKIM1; k=ed25519; p={p}x"),
        ("v=spf1 -all",),
        ("v=DKIM1; k=rsa; p={p}",),
        ("",),
    ],
)
async def test_other_records_at_its_name_let_no_key_sign(
    place: Place, records: tuple[str, ...]
) -> None:
    ed = next(
        key for key in await place.store.rotate(SHOP, DOMAIN) if key.algorithm is Algorithm.ED25519
    )
    p = ed.record.partition("p=")[2]
    place.dns.txt(
        f"{ed.selector}._domainkey.{DOMAIN}", *(record.replace("{p}", p) for record in records)
    )
    await place.look()
    assert await place.signing() == set()


async def test_a_record_in_other_words_lets_its_key_sign(place: Place) -> None:
    made = await place.store.rotate(SHOP, DOMAIN)
    for key in made:
        text = key.record.replace("; ", " ;").replace("v=DKIM1", "v = DKIM1; n=note")
        place.dns.txt(f"{key.selector}._domainkey.{DOMAIN}", strings(f"{text};"))
    await place.look()
    assert await place.signing() == {key.selector for key in made}


async def test_looks_grow_rarer_while_a_record_is_missing(place: Place) -> None:
    await place.store.rotate(SHOP, DOMAIN)
    agenda = place.keeper.agenda
    place.clock.now += timedelta(days=1)
    await place.keeper.look()
    assert await agenda.looks(10, timedelta(minutes=1)) == ()
    before = sum(place.dns.questions.values())
    await place.keeper.look()
    assert sum(place.dns.questions.values()) == before


async def test_keys_are_rotated_when_they_reach_their_age(place: Place) -> None:
    first = await place.store.rotate(SHOP, DOMAIN)
    place.publish(*first)
    await place.look()
    place.clock.now += AGE - timedelta(hours=1)
    await place.keeper.rotate_aged()
    assert len(await place.store.keys(SHOP, DOMAIN)) == 2
    place.clock.now += timedelta(hours=1)
    await place.keeper.rotate_aged()
    await place.keeper.rotate_aged()
    second = [key for key in await place.store.keys(SHOP, DOMAIN) if key.is_pending]
    assert len(second) == 2
    assert await place.signing() == {key.selector for key in first}
    place.publish(*second)
    await place.look()
    assert await place.signing() == {key.selector for key in second}


async def test_domains_that_do_not_sign_are_not_rotated(place: Place) -> None:
    await place.store.rotate(SHOP, DOMAIN)
    before = await place.store.keys(SHOP, DOMAIN)
    place.clock.now += AGE
    await place.keeper.rotate_aged()
    assert await place.store.keys(SHOP, DOMAIN) == before
