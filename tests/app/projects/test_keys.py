"""API keys: what is kept of them, who they let in, and for how long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.errors import Forbidden, InvalidRequest, Unauthenticated
from app.projects.keys import ALL_SCOPES, Doorman, Scope, create_key, revoke_key
from app.settings import RedisSettings
from app.spool.client import Redis
from app.spool.replies import as_bytes, as_list, as_text


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    async with Redis.connect(RedisSettings(url=valkey_url)) as redis:
        yield redis


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def doorman(redis: Redis, clock: Clock) -> Doorman:
    return Doorman(redis, timedelta(seconds=2), clock)


async def test_key_tells_its_project_and_scopes(redis: Redis, doorman: Doorman) -> None:
    key = await create_key(redis, "shop", "web", frozenset({Scope.SEND}))
    caller = await doorman.identify(f"Bearer {key}")
    assert caller.project == "shop"
    assert caller.scopes == {Scope.SEND}
    caller.require(Scope.SEND)
    with pytest.raises(Forbidden, match="`read`"):
        caller.require(Scope.READ)


async def test_key_has_all_scopes_unless_told(redis: Redis, doorman: Doorman) -> None:
    caller = await doorman.identify(f"bearer {await create_key(redis, 'shop', 'web')}")
    assert caller.scopes == ALL_SCOPES


async def test_nothing_of_the_secret_is_stored(redis: Redis) -> None:
    key = await create_key(redis, "shop", "web")
    secret = key.split("_")[2]
    for name in as_list(await redis.call("KEYS", "*")):
        stored = as_bytes(await redis.call("GET", as_text(name)))
        assert secret[:40].encode() not in stored
        assert bytes.fromhex(secret[:40]) not in stored


async def test_key_with_another_secret_is_refused(redis: Redis, doorman: Doorman) -> None:
    first, second = [await create_key(redis, "shop", "web") for _ in range(2)]
    mixed = first[:36] + second[36:]
    for key in (mixed, f"pb_{'0' * 32}_{'0' * 48}"):
        with pytest.raises(Unauthenticated):
            await doorman.identify(f"Bearer {key}")


async def test_mistyped_key_fails_without_a_look_at_the_store() -> None:
    settings = RedisSettings(url="redis://127.0.0.1:1/0")
    async with Redis.connect(settings) as redis:
        with pytest.raises(Unauthenticated, match="copied completely"):
            await Doorman(redis, timedelta(1)).identify(f"Bearer pb_{'0' * 32}_{'0' * 48}")


async def test_revoked_key_passes_no_longer_than_the_cache_remembers(
    redis: Redis, doorman: Doorman, clock: Clock
) -> None:
    key = await create_key(redis, "shop", "web")
    await doorman.identify(f"Bearer {key}")
    assert await revoke_key(redis, key)
    assert not await revoke_key(redis, key)
    await doorman.identify(f"Bearer {key}")
    clock.now = 2.0
    with pytest.raises(Unauthenticated):
        await doorman.identify(f"Bearer {key}")


async def test_key_can_be_revoked_by_its_id(redis: Redis, doorman: Doorman) -> None:
    key = await create_key(redis, "shop", "web")
    assert await revoke_key(redis, key.split("_")[1])
    with pytest.raises(Unauthenticated):
        await doorman.identify(f"Bearer {key}")


@pytest.mark.parametrize("project", ["", "Shop", "a b", "a:b", "a/b", "a" * 41, "shop\n"])
async def test_project_with_an_unusable_name_is_refused(redis: Redis, project: str) -> None:
    with pytest.raises(InvalidRequest):
        await create_key(redis, project, "web")


async def test_key_with_an_unusable_name_is_refused(redis: Redis) -> None:
    for name in ("a\n", "a" * 101):
        with pytest.raises(InvalidRequest):
            await create_key(redis, "shop", name)
