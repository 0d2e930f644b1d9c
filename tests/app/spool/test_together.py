"""Messages that are kept together: one write to the disk, and what became of each."""

from __future__ import annotations

import pytest
from redis.exceptions import ResponseError

from app import messages
from app.errors import IdempotencyConflict, SpoolFull, SpoolUnavailable
from app.settings import RedisSettings
from app.spool.client import Redis
from app.spool.replies import as_int
from app.spool.scripts import Scripts
from app.spool.store import Idempotency, Keeping, Kept, Store
from tests.app.spool.conftest import Spool, spool_settings
from tests.fakes.letters import PROJECT, Letter
from tests.fakes.valkey import ValkeyServer


def keeping(key: str | None = None, fingerprint: bytes = b"") -> Keeping:
    said = Letter()
    letter = messages.Letter(said.message(), (said.content,))
    return Keeping(letter, Idempotency(key, fingerprint) if key else None)


async def test_each_message_is_kept_as_it_would_be_alone(spool: Spool) -> None:
    wanted = [keeping() for _ in range(3)]
    kept = await spool.store.keep_all(wanted)
    for each, found in zip(wanted, kept, strict=True):
        assert isinstance(found, Kept)
        message = each.letter.message
        assert found.receipt.message == message.id
        assert (await spool.store.view(PROJECT, message.id)).message == message
        assert len(await spool.store.events(PROJECT, message.id)) == 1


async def test_none_is_none(spool: Spool) -> None:
    assert await spool.store.keep_all([]) == []


async def test_each_has_an_answer_of_its_own(spool: Spool) -> None:
    first, other = await spool.store.keep_all([keeping("a"), keeping("b")])
    again, conflict, fresh, twice = await spool.store.keep_all(
        [keeping("a"), keeping("b", b"another"), keeping("c"), keeping("c")]
    )
    assert isinstance(first, Kept)
    assert isinstance(other, Kept)
    assert isinstance(again, Kept)
    assert (again.receipt.message, again.receipt.replayed) == (first.receipt.message, True)
    assert isinstance(conflict, IdempotencyConflict)
    assert isinstance(fresh, Kept)
    assert isinstance(twice, Kept)
    assert twice.receipt.replayed
    assert await spool.redis.call("ZCARD", spool.redis.keys.expiries) == 3


async def test_a_redis_that_forgot_the_script_learns_it_again(spool: Spool) -> None:
    await spool.redis.call("SCRIPT", "FLUSH")
    kept = await spool.store.keep_all([keeping(), keeping()])
    assert all(isinstance(each, Kept) for each in kept)


async def test_a_full_redis_keeps_none(own_valkey: ValkeyServer) -> None:
    settings = spool_settings(own_valkey.url)
    async with Redis.connect(settings.redis) as redis:
        store = Store(redis, Scripts.of(redis.keys, settings), settings.retention)
        await store.keep_all([keeping()])
        await redis.call("CONFIG", "SET", "maxmemory", "1")
        kept = await store.keep_all([keeping(), keeping()])
        assert [type(each) for each in kept] == [SpoolFull] * 2
        assert as_int(await redis.call("ZCARD", redis.keys.expiries)) == 1


async def test_of_what_was_under_way_when_redis_was_lost_nothing_is_known(
    own_valkey: ValkeyServer,
) -> None:
    settings = spool_settings(own_valkey.url)
    async with Redis.connect(settings.redis) as redis:
        store = Store(redis, Scripts.of(redis.keys, settings), settings.retention)
        await store.keep_all([keeping()])
        own_valkey.kill()
        kept = await store.keep_all([keeping(), keeping()])
        assert [type(each) for each in kept] == [SpoolUnavailable] * 2
        own_valkey.start()
        assert as_int(await redis.call("ZCARD", redis.keys.expiries)) == 1


async def test_a_step_that_is_wrong_is_a_fault_and_no_refusal(valkey_url: str) -> None:
    settings = spool_settings(valkey_url)
    async with Redis.connect(RedisSettings(url=valkey_url)) as redis:
        scripts = Scripts.of(redis.keys, settings)
        with pytest.raises(ResponseError):
            await redis.keep_all(scripts.accept, [[]])
