from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from app.errors import VaultClosed
from app.identity.keys.keyfiles import create_keys
from app.identity.keys.keyfolder import KeyFolder
from app.identity.keys.keyring import Keyring
from app.identity.keys.keystore import KeyStore
from app.identity.keys.vault import Vault
from app.ids import ProjectId
from app.mail.dkim import SigningKey
from app.settings import RedisSettings
from app.spool.client import Argument, Redis, Reply

SHOP, OTHER = ProjectId("shop"), ProjectId("other")
SECRET = b"s" * 32


class CountingRedis(Redis):
    """Counts what it is asked."""

    asked = 0

    async def call(self, *command: Argument) -> Reply:
        self.asked += 1
        return await super().call(*command)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    async with CountingRedis.connect(RedisSettings(url=valkey_url)) as redis:
        yield redis


@pytest.fixture
def store(redis: Redis) -> KeyStore:
    return KeyStore(redis, Vault([SECRET]), timedelta(days=21))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keyring(store: KeyStore, clock: Clock) -> Keyring:
    return Keyring(KeyFolder(None), store, clock)


async def signing(store: KeyStore, project: ProjectId, domain: str) -> set[str]:
    """Make new keys that sign, and return their selectors."""
    made = {key.selector for key in await store.rotate(project, domain)}
    await store.confirm(project, domain, made)
    return made


def selectors(keys: Sequence[SigningKey]) -> set[str]:
    return {key.selector for key in keys}


async def test_keys_of_a_project_sign_for_it_alone(keyring: Keyring, store: KeyStore) -> None:
    ours = await signing(store, SHOP, "shop.example")
    assert selectors(await keyring.keys_for(SHOP, "shop.example")) == ours
    assert await keyring.keys_for(OTHER, "shop.example") == ()


async def test_a_domain_below_is_signed_for_by_the_keys_of_its_nearest_parent(
    keyring: Keyring, store: KeyStore
) -> None:
    upper = await signing(store, SHOP, "shop.example")
    lower = await signing(store, SHOP, "mail.shop.example")
    assert selectors(await keyring.keys_for(SHOP, "a.mail.shop.example")) == lower
    assert selectors(await keyring.keys_for(SHOP, "b.shop.example")) == upper
    assert await keyring.keys_for(SHOP, "example") == ()


async def test_files_of_the_operator_sign_where_a_project_has_no_keys_of_its_own(
    store: KeyStore, clock: Clock, tmp_path: Path
) -> None:
    shared = {file.key.selector for file in create_keys(tmp_path, "shop.example", "shared")}
    keyring = Keyring(KeyFolder(tmp_path), store, clock)
    assert selectors(await keyring.keys_for(SHOP, "shop.example")) == shared
    ours = {key.selector for key in await store.rotate(SHOP, "shop.example")}
    clock.seconds += 2
    assert selectors(await keyring.keys_for(SHOP, "shop.example")) == shared
    await store.confirm(SHOP, "shop.example", ours)
    clock.seconds += 2
    assert selectors(await keyring.keys_for(SHOP, "shop.example")) == ours
    assert selectors(await keyring.keys_for(OTHER, "shop.example")) == shared


async def test_keys_that_are_known_cost_no_look_at_redis(
    keyring: Keyring, store: KeyStore, redis: CountingRedis, clock: Clock
) -> None:
    await signing(store, SHOP, "shop.example")
    first = await keyring.keys_for(SHOP, "mail.shop.example")
    before = redis.asked
    for _ in range(100):
        assert await keyring.keys_for(SHOP, "mail.shop.example") is first
    assert redis.asked == before
    clock.seconds += 2
    assert await keyring.keys_for(SHOP, "mail.shop.example") is first
    assert redis.asked == before + 1


async def test_a_change_elsewhere_loads_no_keys_again(
    keyring: Keyring, store: KeyStore, clock: Clock
) -> None:
    await signing(store, SHOP, "shop.example")
    first = await keyring.keys_for(SHOP, "shop.example")
    await signing(store, OTHER, "other.example")
    clock.seconds += 2
    assert await keyring.keys_for(SHOP, "shop.example") is first


async def test_a_rotation_and_a_revocation_are_seen_within_seconds(
    keyring: Keyring, store: KeyStore, clock: Clock
) -> None:
    await signing(store, SHOP, "shop.example")
    await keyring.keys_for(SHOP, "shop.example")
    new = await signing(store, SHOP, "shop.example")
    clock.seconds += 2
    assert selectors(await keyring.keys_for(SHOP, "shop.example")) == new
    gone = min(new)
    await store.revoke(SHOP, "shop.example", gone)
    clock.seconds += 2
    assert selectors(await keyring.keys_for(SHOP, "shop.example")) == new - {gone}
    await store.forget(SHOP, "shop.example")
    clock.seconds += 2
    assert await keyring.keys_for(SHOP, "shop.example") == ()


async def test_keys_that_cannot_be_read_stop_the_mail_instead_of_sending_it_unsigned(
    store: KeyStore, redis: Redis
) -> None:
    await signing(store, SHOP, "shop.example")
    for keys in ([], [b"w" * 32]):
        keyring = Keyring(KeyFolder(None), KeyStore(redis, Vault(keys), timedelta(days=21)))
        with pytest.raises(VaultClosed):
            await keyring.keys_for(SHOP, "shop.example")
        assert await keyring.keys_for(OTHER, "shop.example") == ()


async def test_nothing_that_is_printed_shows_a_secret(keyring: Keyring, store: KeyStore) -> None:
    await signing(store, SHOP, "shop.example")
    keys = await keyring.keys_for(SHOP, "shop.example")
    shown = (
        repr(keys)
        + repr(vars(keyring))
        + repr(vars(store))
        + repr(await store.keys(SHOP, "shop.example"))
    )
    assert "PRIVATE" not in shown
    assert base64.b64encode(SECRET).decode() not in shown
    assert repr(SECRET) not in shown
