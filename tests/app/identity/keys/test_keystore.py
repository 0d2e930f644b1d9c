from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from app.errors import InvalidRequest, NotFound, SpoolUnavailable, VaultClosed
from app.identity.keys.dkimkeys import REMEMBERED, REVOKED_RECORD, KeyState
from app.identity.keys.keystore import KeyStore
from app.identity.keys.vault import Vault
from app.ids import ProjectId
from app.mail.dkim import Algorithm, generate_pem, load_key, public_record
from app.settings import RedisSettings
from app.spool.client import Argument, Redis, Reply, Script

SHOP, OTHER = ProjectId("shop"), ProjectId("other")
DOMAIN = "shop.example"
SECRET = b"s" * 32
KEPT = timedelta(days=21)


class LosingRedis(Redis):
    """Loses the connection when keys are changed: before Redis has read the step, or before its answer comes."""

    loses = ""

    async def keep(self, script: Script, *arguments: Argument) -> Reply:
        if self.loses == "before":
            raise SpoolUnavailable("lost before")
        reply = await super().keep(script, *arguments)
        if self.loses == "after":
            raise SpoolUnavailable("lost after")
        return reply


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    async with Redis.connect(RedisSettings(url=valkey_url)) as redis:
        yield redis


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(redis: Redis, clock: Clock) -> KeyStore:
    return KeyStore(redis, Vault([SECRET]), KEPT, clock)


async def states(store: KeyStore, clock: Clock) -> dict[str, str]:
    return {key.selector: key.state(clock()).value for key in await store.keys(SHOP, DOMAIN)}


async def first_keys(store: KeyStore) -> list[str]:
    """Make the first generation, let it sign, and return its selectors: Ed25519, then RSA."""
    made = [key.selector for key in await store.rotate(SHOP, DOMAIN)]
    await store.confirm(SHOP, DOMAIN, made)
    return made


async def test_a_new_generation_has_both_algorithms_at_selectors_that_belong_together(
    store: KeyStore, clock: Clock
) -> None:
    first, second = await store.rotate(SHOP, DOMAIN)
    assert {first.algorithm, second.algorithm} == set(Algorithm)
    assert first.selector.rpartition("-")[0] == second.selector.rpartition("-")[0]
    assert first.selector.startswith("pb2601-")
    assert set((await states(store, clock)).values()) == {"pending"}
    assert (await store.signers(SHOP, DOMAIN)).keys == ()


async def test_keys_sign_once_their_records_are_found(store: KeyStore) -> None:
    made = await store.rotate(SHOP, DOMAIN)
    await store.confirm(SHOP, DOMAIN, [key.selector for key in made])
    signing = (await store.signers(SHOP, DOMAIN)).keys
    assert [(key.selector, key.domain, public_record(key)) for key in signing] == [
        (key.selector, DOMAIN, key.record) for key in made
    ]


async def test_a_rotation_signs_with_former_keys_until_the_new_records_are_found(
    store: KeyStore, clock: Clock
) -> None:
    old = await first_keys(store)
    clock.now += timedelta(days=180)
    new = [key.selector for key in await store.rotate(SHOP, DOMAIN)]
    assert [key.selector for key in (await store.signers(SHOP, DOMAIN)).keys] == old
    await store.confirm(SHOP, DOMAIN, new)
    assert [key.selector for key in (await store.signers(SHOP, DOMAIN)).keys] == new
    assert await states(store, clock) == {
        **dict.fromkeys(old, "retiring"),
        **dict.fromkeys(new, "active"),
    }
    clock.now += KEPT
    assert (await states(store, clock))[old[0]] == "retired"
    clock.now += REMEMBERED
    assert list(await states(store, clock)) == new


async def test_a_record_that_is_missing_keeps_the_former_key_of_its_algorithm_signing(
    store: KeyStore,
) -> None:
    old = {key.algorithm: key.selector for key in await store.rotate(SHOP, DOMAIN)}
    await store.confirm(SHOP, DOMAIN, list(old.values()))
    new = {key.algorithm: key.selector for key in await store.rotate(SHOP, DOMAIN)}
    await store.confirm(SHOP, DOMAIN, [new[Algorithm.RSA]])
    signing = {key.selector for key in (await store.signers(SHOP, DOMAIN)).keys}
    assert signing == {old[Algorithm.ED25519], new[Algorithm.RSA]}


async def test_rotations_at_once_make_one_generation(redis: Redis) -> None:
    stores = [KeyStore(redis, Vault([SECRET]), KEPT) for _ in range(5)]
    made = await asyncio.gather(*(store.rotate(SHOP, DOMAIN) for store in stores))
    assert len(set(made)) == 1
    assert await stores[0].keys(SHOP, DOMAIN) == made[0]


async def test_changes_at_once_are_all_made(store: KeyStore) -> None:
    await first_keys(store)
    pems = {f"s{number}": generate_pem(Algorithm.ED25519) for number in range(8)}
    await asyncio.gather(*(store.add(SHOP, DOMAIN, name, pem) for name, pem in pems.items()))
    assert {key.selector for key in await store.keys(SHOP, DOMAIN)} >= set(pems)


async def test_an_imported_key_signs_at_its_selector_once_its_record_is_found(
    store: KeyStore,
) -> None:
    pem = generate_pem(Algorithm.RSA)
    key = await store.add(SHOP, DOMAIN, "2024", pem)
    assert key.is_imported
    assert key.record == public_record(load_key(pem, DOMAIN, "2024"))
    await store.confirm(SHOP, DOMAIN, ["2024"])
    assert [key.selector for key in (await store.signers(SHOP, DOMAIN)).keys] == ["2024"]


async def test_a_revoked_key_signs_no_more_and_its_record_says_so(
    store: KeyStore, clock: Clock
) -> None:
    first, second = await first_keys(store)
    await store.revoke(SHOP, DOMAIN, first)
    assert [key.selector for key in (await store.signers(SHOP, DOMAIN)).keys] == [second]
    revoked = next(key for key in await store.keys(SHOP, DOMAIN) if key.selector == first)
    assert revoked.state(clock()) is KeyState.REVOKED
    assert revoked.published() == REVOKED_RECORD
    await store.revoke(SHOP, DOMAIN, first)
    assert list(await states(store, clock)) == [second]


async def test_the_last_key_that_signs_is_revoked_only_by_force(store: KeyStore) -> None:
    first, second = await first_keys(store)
    await store.revoke(SHOP, DOMAIN, first)
    with pytest.raises(InvalidRequest, match="force"):
        await store.revoke(SHOP, DOMAIN, second)
    await store.revoke(SHOP, DOMAIN, second, even_if_last=True)
    assert (await store.signers(SHOP, DOMAIN)).keys == ()


async def test_secrets_of_keys_that_do_not_sign_any_more_are_destroyed(
    store: KeyStore, redis: Redis
) -> None:
    old = await first_keys(store)
    new = [key.selector for key in await store.rotate(SHOP, DOMAIN)]
    await store.confirm(SHOP, DOMAIN, new)
    await store.revoke(SHOP, DOMAIN, new[0])
    stored = await redis.call("HKEYS", f"{redis.keys.dkim}{SHOP}:{DOMAIN}")
    assert isinstance(stored, list)
    secrets = {name for name in stored if isinstance(name, bytes) and name.startswith(b"s:")}
    assert secrets == {f"s:{new[1]}".encode()}
    assert len(await store.keys(SHOP, DOMAIN)) == len(old + new)


async def test_projects_never_see_keys_of_others_for_the_same_domain(store: KeyStore) -> None:
    await first_keys(store)
    ours = await store.keys(SHOP, DOMAIN)
    assert await store.keys(OTHER, DOMAIN) == ()
    with pytest.raises(NotFound):
        await store.revoke(OTHER, DOMAIN, ours[0].selector, even_if_last=True)
    theirs = await store.rotate(OTHER, DOMAIN)
    assert not {key.selector for key in ours} & {key.selector for key in theirs}
    await store.forget(OTHER, DOMAIN)
    assert await store.keys(SHOP, DOMAIN) == ours


async def test_a_secret_that_was_moved_to_another_project_does_not_open(
    store: KeyStore, redis: Redis
) -> None:
    await first_keys(store)
    stored = await redis.call("HGETALL", f"{redis.keys.dkim}{SHOP}:{DOMAIN}")
    assert isinstance(stored, list)
    fields = [part for part in stored if isinstance(part, bytes)]
    await redis.call("HSET", f"{redis.keys.dkim}{OTHER}:{DOMAIN}", *fields)
    assert len(await store.keys(OTHER, DOMAIN)) == 2
    with pytest.raises(VaultClosed):
        await store.signers(OTHER, DOMAIN)


async def test_every_change_has_a_version_of_its_own_even_of_keys_that_were_forgotten(
    store: KeyStore,
) -> None:
    seen = [await store.version_of(SHOP, DOMAIN)]
    for _ in range(2):
        await store.rotate(SHOP, DOMAIN)
        seen.append(await store.version_of(SHOP, DOMAIN))
        await store.forget(SHOP, DOMAIN)
    assert len(set(seen)) == 3
    assert await store.version_of(SHOP, DOMAIN) == 0
    assert await store.version() == 4


async def test_another_secret_seals_nothing_beside_what_is_there(
    store: KeyStore, redis: Redis
) -> None:
    await first_keys(store)
    before = await store.keys(SHOP, DOMAIN)
    wrong = KeyStore(redis, Vault([b"w" * 32]), KEPT)
    for step in (
        wrong.require_secret(),
        wrong.rotate(OTHER, DOMAIN),
        wrong.add(SHOP, DOMAIN, "s1", generate_pem(Algorithm.ED25519)),
        wrong.signers(SHOP, DOMAIN),
    ):
        with pytest.raises(VaultClosed):
            await step
    assert await store.keys(SHOP, DOMAIN) == before


async def test_a_domain_has_no_more_keys_than_it_may(store: KeyStore) -> None:
    await first_keys(store)
    for number in range(18):
        await store.add(SHOP, DOMAIN, f"s{number}", generate_pem(Algorithm.ED25519))
    with pytest.raises(InvalidRequest, match="20 keys"):
        await store.add(SHOP, DOMAIN, "s18", generate_pem(Algorithm.ED25519))
    assert len(await store.keys(SHOP, DOMAIN)) == 20


@pytest.mark.parametrize("loses", ["before", "after"])
async def test_a_change_that_is_cut_off_is_made_whole_or_not_at_all_and_may_be_repeated(
    valkey_url: str, clock: Clock, loses: str
) -> None:
    async with LosingRedis.connect(RedisSettings(url=valkey_url)) as redis:
        assert isinstance(redis, LosingRedis)
        store = KeyStore(redis, Vault([SECRET]), KEPT, clock)
        redis.loses = loses
        with pytest.raises(SpoolUnavailable):
            await store.rotate(SHOP, DOMAIN)
        there = await store.keys(SHOP, DOMAIN)
        assert len(there) == (0 if loses == "before" else 2)
        redis.loses = ""
        made = await store.rotate(SHOP, DOMAIN)
        assert await store.keys(SHOP, DOMAIN) == made
        assert not there or there == made
        redis.loses = loses
        with pytest.raises(SpoolUnavailable):
            await store.confirm(SHOP, DOMAIN, [key.selector for key in made])
        redis.loses = ""
        await store.confirm(SHOP, DOMAIN, [key.selector for key in made])
        assert len((await store.signers(SHOP, DOMAIN)).keys) == 2
