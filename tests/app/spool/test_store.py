from __future__ import annotations

import asyncio

import pytest

from app.errors import IdempotencyConflict, NotFound, SpoolFull, SpoolUnavailable
from app.ids import MessageId, ProjectId
from app.settings import RedisSettings
from app.spool.client import Redis
from app.spool.codec import MESSAGE
from app.spool.health import Health
from app.spool.scripts import Scripts
from app.spool.store import Idempotency, Store
from tests.app.spool.conftest import Spool, spool_settings
from tests.fakes.letters import PROJECT, Letter, keep
from tests.fakes.valkey import ValkeyServer

KEY = Idempotency("order-7", b"fingerprint of the body")


async def test_what_is_kept_reads_back(spool: Spool) -> None:
    message, _ = await keep(spool.store, Letter(to=("a@example.org", "b@example.net")))
    view = await spool.store.view(PROJECT, message.id)
    assert view.message == message
    assert len(view.states) == 2
    assert await spool.store.attempts(PROJECT, message.id) == ()


async def test_a_message_is_not_found_by_another_project(spool: Spool) -> None:
    message, _ = await keep(spool.store, Letter())
    for read in (spool.store.view, spool.store.events, spool.store.attempts):
        with pytest.raises(NotFound):
            await read(ProjectId("other"), message.id)
        with pytest.raises(NotFound):
            await read(PROJECT, MessageId("msg_none"))


async def test_a_repeated_key_with_the_same_payload_keeps_one_message(spool: Spool) -> None:
    first, _ = await keep(spool.store, Letter(), KEY)
    _, again = await keep(spool.store, Letter(), KEY)
    assert (again.receipt.message, again.receipt.replayed) == (first.id, True)
    assert again.receipt.recipients == first.recipients
    assert await spool.redis.call("ZCARD", spool.redis.keys.expiries) == 1


async def test_a_repeated_key_with_another_payload_is_a_conflict_and_keeps_nothing(
    spool: Spool,
) -> None:
    await keep(spool.store, Letter(), KEY)
    with pytest.raises(IdempotencyConflict):
        await keep(spool.store, Letter(), Idempotency(KEY.key, b"another"))
    assert await spool.redis.call("ZCARD", spool.redis.keys.expiries) == 1


async def test_one_of_many_simultaneous_requests_with_one_key_wins_and_all_get_its_answer(
    spool: Spool,
) -> None:
    answers = await asyncio.gather(*(keep(spool.store, Letter(), KEY) for _ in range(20)))
    assert len({kept.receipt.message for _, kept in answers}) == 1
    assert sorted(kept.receipt.replayed for _, kept in answers) == [False] + [True] * 19


async def test_keys_of_different_projects_do_not_meet(spool: Spool) -> None:
    await keep(spool.store, Letter(), KEY)
    _, kept = await keep(spool.store, Letter(project=ProjectId("other")), KEY)
    assert not kept.receipt.replayed


async def test_a_full_redis_takes_no_mail_and_lets_old_mail_finish(
    own_valkey: ValkeyServer,
) -> None:
    settings = spool_settings(own_valkey.url)
    async with Redis.connect(settings.redis) as redis:
        store = Store(redis, Scripts.of(redis.keys, settings), settings.retention)
        message, _ = await keep(store, Letter())
        await redis.call("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(SpoolFull):
            await keep(store, Letter())
        assert (
            await redis.run(
                Scripts.of(redis.keys, settings).hasten, "mail/acme/x/example.org", "m/0"
            )
            == []
        )
        assert (await store.view(PROJECT, message.id)).message == message


async def test_a_redis_that_is_away_is_told_apart_from_a_fault(own_valkey: ValkeyServer) -> None:
    settings = spool_settings(own_valkey.url)
    async with Redis.connect(settings.redis) as redis:
        store = Store(redis, Scripts.of(redis.keys, settings), settings.retention)
        message, _ = await keep(store, Letter())
        own_valkey.kill()
        with pytest.raises(SpoolUnavailable):
            await keep(store, Letter())
        own_valkey.start()
        assert (await store.view(PROJECT, message.id)).message == message


async def test_readiness_names_what_keeps_mail_from_being_safe(own_valkey: ValkeyServer) -> None:
    settings = RedisSettings(url=own_valkey.url)
    async with Redis.connect(settings) as redis:
        health = Health(redis, settings)
        assert (await health.check()).troubles == ()
        assert (await health.check()).warnings == ()
        await redis.call("CONFIG", "SET", "appendfsync", "everysec")
        await redis.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        assert len((await health.check()).warnings) == 2
        await redis.call("CONFIG", "SET", "maxmemory", "1000")
        assert "room" in (await health.check()).troubles[0]
        own_valkey.kill()
        assert "does not answer" in (await health.check()).troubles[0]
        own_valkey.start()


def test_a_stored_form_of_a_later_version_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="upgrade"):
        MESSAGE.decode(b"\xffanything")
