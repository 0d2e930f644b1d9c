"""While Redis is away or full: 503 with a time to come back, never a 202, never a 500."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import SecretStr

from app.errors import ConfigurationError
from app.main import create_app
from app.projects.keys import create_key
from app.settings import ApiSettings, DkimSettings, RedisSettings, Settings
from app.settings.rootkeys import SecretSettings
from app.settings.unsubscribing import UnsubscribeSettings
from app.spool.client import Redis
from app.spool.replies import as_int
from tests.app.api.client import MESSAGE, Client
from tests.app.api.conftest import served
from tests.app.api.links import BASE, click, mail_of, path_of, suppressed
from tests.fakes.valkey import ValkeyServer
from tests.fakes.waiting import eventually


@pytest.fixture
def settings(own_valkey: ValkeyServer) -> Settings:
    """The API remembers keys for long, so that only the message itself meets the trouble."""
    return Settings(
        redis=RedisSettings(url=own_valkey.url, timeout=timedelta(seconds=3)),
        api=ApiSettings(key_cache=timedelta(minutes=1)),
        dkim=DkimSettings(required=False),
        secrets=SecretSettings(key=SecretStr("5f" * 32)),
        unsubscribe=UnsubscribeSettings(base_url=BASE),
    )


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    """A client whose key the API remembers already."""
    async with Redis.connect(settings.redis) as redis:
        key = await create_key(redis, "shop", "test")
    async with served(create_app(settings)) as client:
        assert (await client.with_key(key).get("/endpoints")).status == 200
        yield client.with_key(key)


async def test_store_that_is_away_makes_503_until_it_is_back(
    client: Client, own_valkey: ValkeyServer
) -> None:
    own_valkey.kill()
    for answer in (
        await client.send(),
        await client.get(f"/messages/msg_{'0' * 32}"),
        await client.post("/suppressions", {"addresses": ["ada@example.com"]}),
        await client.get("/suppressions/export?format=csv"),
    ):
        assert (answer.status, answer.code) == (503, "spool_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert own_valkey.url not in answer.text_at("/detail")
    ready = await client.get("/readyz")
    assert (ready.status, ready.code) == (503, "not_ready")
    assert ready.text_at("/reasons/0")
    assert (await client.get("/healthz")).status == 200
    own_valkey.start()
    assert (await client.send()).status == 202
    assert (await client.get("/readyz")).status == 200


async def test_who_unsubscribes_meanwhile_is_asked_to_come_back(
    client: Client, own_valkey: ValkeyServer, settings: Settings
) -> None:
    sent = await client.send(list_unsubscribe={"hosted": True})
    async with Redis.connect(settings.redis) as redis:
        path = path_of(await mail_of(redis, sent))
    own_valkey.kill()
    assert (await client.get(path)).status == 200
    answer = await click(client, path)
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert b"Try again" in answer.body
    own_valkey.start()
    assert (await click(client, path)).status == 200
    assert await suppressed(client) == [("ada@example.com", "transactional", "unsubscribed")]


async def test_a_message_whose_answer_was_lost_is_not_called_unstored(
    client: Client, own_valkey: ValkeyServer, settings: Settings
) -> None:
    assert (await client.send()).status == 202
    async with Redis.connect(settings.redis) as redis:

        async def has_rung() -> bool:
            return as_int(await redis.call("ZCARD", redis.keys.queue)) == 1

        assert await eventually(has_rung)
    # The lane has its alarm now: nothing but the next message is under way when Redis stops.
    assert (await client.send()).status == 202
    repeated = {"Idempotency-Key": "once"}
    own_valkey.freeze()
    lost = await client.post("/messages", MESSAGE, repeated)
    own_valkey.thaw()
    assert (lost.status, lost.code) == (503, "spool_unavailable")
    assert "not known" in lost.text_at("/detail")
    answer = await client.post("/messages", MESSAGE, repeated)
    # Redis found the first request when it went on.
    assert (answer.status, answer.headers.get("Idempotent-Replayed")) == (202, "true")


async def test_a_batch_of_which_nothing_is_kept_is_answered_as_one_message(
    client: Client, own_valkey: ValkeyServer, settings: Settings
) -> None:
    batch = {"messages": [MESSAGE, MESSAGE, {}]}
    own_valkey.kill()
    answer = await client.post("/messages/batch", batch)
    assert (answer.status, answer.code) == (503, "spool_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    own_valkey.start()
    answer = await client.post("/messages/batch", batch)
    assert (answer.status, answer.at("/accepted"), answer.at("/refused")) == (202, 2, 1)
    async with Redis.connect(settings.redis) as redis:
        await redis.call("CONFIG", "SET", "maxmemory", 1)
    answer = await client.post("/messages/batch", batch)
    assert (answer.status, answer.code) == (503, "spool_full")


async def test_what_a_batch_could_not_keep_any_more_is_told_message_by_message(
    client: Client, own_valkey: ValkeyServer
) -> None:
    known = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        message = json.dumps(MESSAGE).encode()
        yield b'{"messages": [' + b",".join([message] * 50)
        await known.wait()
        own_valkey.kill()
        yield b"," + b",".join([message] * 60) + b"]}"

    async with asyncio.TaskGroup() as group:
        sending = group.create_task(
            client.post_flow("/messages/batch", body(), {"Content-Type": "application/json"})
        )
        assert await eventually(lambda: waiting(own_valkey, 50))
        known.set()
    answer = sending.result()
    assert answer.status == 202
    assert (answer.at("/accepted"), answer.at("/refused")) == (50, 60)
    assert answer.at("/results/49/status") == "accepted"
    assert answer.at("/results/50/problem/code") == "spool_unavailable"
    assert answer.at("/results/109/problem/status") == 503


async def waiting(server: ValkeyServer, count: int) -> bool:
    async with Redis.connect(RedisSettings(url=server.url)) as redis:
        return as_int(await redis.call("ZCARD", redis.keys.expiries)) == count


async def test_unknown_key_is_503_and_not_401_while_the_store_is_away(
    client: Client, own_valkey: ValkeyServer, settings: Settings
) -> None:
    async with Redis.connect(settings.redis) as redis:
        fresh = await create_key(redis, "shop", "fresh")
    own_valkey.kill()
    answer = await client.with_key(fresh).send()
    assert (answer.status, answer.code) == (503, "spool_unavailable")


async def test_full_store_takes_no_mail_but_gives_what_it_has(
    client: Client, settings: Settings
) -> None:
    sent = await client.send()
    async with Redis.connect(settings.redis) as redis:
        await redis.call("CONFIG", "SET", "maxmemory", 1)
    answer = await client.send()
    assert (answer.status, answer.code) == (503, "spool_full")
    assert int(answer.headers["Retry-After"]) > 0
    assert (await client.get(f"/messages/{sent.text_at('/id')}")).status == 200
    ready = await client.get("/readyz")
    assert (ready.status, ready.code) == (503, "not_ready")


async def test_store_that_may_lose_mail_is_a_warning(client: Client, settings: Settings) -> None:
    async with Redis.connect(settings.redis) as redis:
        await redis.call("CONFIG", "SET", "appendfsync", "everysec")
    ready = await client.get("/readyz")
    assert ready.status == 200
    assert "appendfsync" in ready.text_at("/warnings/0")


async def test_settings_that_insist_on_durability_refuse_to_start_without(
    settings: Settings,
) -> None:
    insisting = settings.redis.model_copy(update={"require_durable": True})
    app = create_app(settings.model_copy(update={"redis": insisting}))
    async with Redis.connect(settings.redis) as redis:
        async with app.router.lifespan_context(app):
            pass
        await redis.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    with pytest.raises(ConfigurationError, match="maxmemory-policy"):
        async with app.router.lifespan_context(app):
            pass
