from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.errors import VaultClosed
from app.identity.keys.agenda import Agenda
from app.identity.keys.keystore import KeyStore
from app.identity.keys.rekeying import Progress, rekey
from app.identity.keys.vault import Vault
from app.ids import ProjectId
from app.settings import RedisSettings
from app.spool.client import Redis

OLD, NEW = b"o" * 32, b"n" * 32
DOMAINS = [(ProjectId(f"p{n % 3}"), f"d{n}.example") for n in range(6)]


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    async with Redis.connect(RedisSettings(url=valkey_url)) as redis:
        yield redis


def store(redis: Redis, *keys: bytes) -> KeyStore:
    return KeyStore(redis, Vault(keys), timedelta(days=21))


async def filled(redis: Redis) -> None:
    old = store(redis, OLD)
    for project, domain in DOMAINS:
        made = await old.rotate(project, domain)
        await old.confirm(project, domain, [key.selector for key in made])


async def test_after_re_keying_the_former_secret_may_go(redis: Redis) -> None:
    await filled(redis)
    told: list[Progress] = []
    done = await rekey(store(redis, NEW, OLD), Agenda(redis), told.append)
    assert done == Progress(6, 12)
    assert told[-1] == done
    for project, domain in DOMAINS:
        assert len((await store(redis, NEW).signers(project, domain)).keys) == 2
        with pytest.raises(VaultClosed):
            await store(redis, OLD).signers(project, domain)
    await store(redis, NEW).require_secret()
    with pytest.raises(VaultClosed):
        await store(redis, OLD).require_secret()


async def test_re_keying_goes_on_where_it_was_stopped_and_does_nothing_twice(redis: Redis) -> None:
    await filled(redis)
    both = store(redis, NEW, OLD)
    assert await both.reseal(*DOMAINS[0]) == 2
    assert (await rekey(both, Agenda(redis), lambda _: None)).keys == 10
    versions = [await both.version_of(*domain) for domain in DOMAINS]
    assert (await rekey(both, Agenda(redis), lambda _: None)).keys == 0
    assert [await both.version_of(*domain) for domain in DOMAINS] == versions


async def test_re_keying_without_the_former_secret_changes_nothing(redis: Redis) -> None:
    await filled(redis)
    with pytest.raises(VaultClosed):
        await rekey(store(redis, NEW), Agenda(redis), lambda _: None)
    for project, domain in DOMAINS:
        assert len((await store(redis, OLD).signers(project, domain)).keys) == 2
