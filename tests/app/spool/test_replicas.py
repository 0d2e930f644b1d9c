"""A primary with one replica: what was kept is known to whoever takes over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from app import messages
from app.errors import SpoolFull, SpoolUnavailable
from app.processes.ports import LOOPBACK, free_port
from app.settings import DkimSettings, RedisSettings, Settings
from app.spool.client import Redis
from app.spool.health import Health
from app.spool.scripts import Scripts
from app.spool.store import Idempotency, Keeping, Kept, Store
from tests.fakes.letters import PROJECT, Letter, keep
from tests.fakes.valkey import ValkeyServer
from tests.fakes.waiting import eventually

ONCE = Idempotency("once", b"the same body")


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path / "primary", port=free_port()) as server:
        yield server


@pytest.fixture
def replica(tmp_path: Path, primary: ValkeyServer) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path / "replica", port=free_port()) as server:
        port = primary.url.rpartition(":")[2].partition("/")[0]
        with redis.Redis.from_url(server.url) as client:
            client.replicaof(LOOPBACK, port)
        yield server
        if server.exit_code is None:
            server.thaw()


def settings(url: str, replicas: int) -> RedisSettings:
    return RedisSettings(url=url, replicas=replicas, timeout=timedelta(seconds=4))


@asynccontextmanager
async def opened(server: ValkeyServer, replicas: int = 1) -> AsyncIterator[Store]:
    whole = Settings(redis=settings(server.url, replicas), dkim=DkimSettings(required=False))
    async with Redis.connect(whole.redis) as redis:
        yield Store(redis, Scripts.of(redis.keys, whole), whole.retention)


async def replicates(server: ValkeyServer) -> bool:
    with redis.Redis.from_url(server.url) as client:
        return bool(client.info("replication").get("master_link_status") == "up")


async def test_a_replica_that_takes_over_knows_what_was_kept(
    primary: ValkeyServer, replica: ValkeyServer
) -> None:
    await eventually(lambda: replicates(replica))
    async with opened(primary) as store:
        kept = [(await keep(store, Letter()))[0].id for _ in range(20)]
    primary.kill()
    with redis.Redis.from_url(replica.url) as client:
        client.replicaof("NO", "ONE")
    async with opened(replica, replicas=0) as store:
        for message in kept:
            assert (await store.view(PROJECT, message)).message.id == message


async def test_what_no_replica_has_in_time_is_not_called_kept_until_one_has_it(
    primary: ValkeyServer, replica: ValkeyServer
) -> None:
    await eventually(lambda: replicates(replica))
    async with opened(primary) as store:
        replica.freeze()
        with pytest.raises(SpoolUnavailable, match="0 of 1 replicas"):
            await keep(store, Letter(), ONCE)
        with pytest.raises(SpoolUnavailable, match="0 of 1 replicas"):
            await keep(store, Letter(), ONCE)
        replica.thaw()
        _, kept = await keep(store, Letter(), ONCE)
        assert kept.receipt.replayed
    primary.kill()
    with redis.Redis.from_url(replica.url) as client:
        client.replicaof("NO", "ONE")
    async with opened(replica, replicas=0) as store:
        assert (await store.view(PROJECT, kept.receipt.message)).states


async def test_of_messages_kept_together_replicas_are_waited_for_once_and_for_all(
    primary: ValkeyServer, replica: ValkeyServer
) -> None:
    await eventually(lambda: replicates(replica))
    said = Letter()
    wanted = [
        Keeping(messages.Letter(said.message(), (said.content,)), Idempotency(key, b"body"))
        for key in ("a", "b")
    ]
    async with opened(primary) as store:
        replica.freeze()
        unknown = await store.keep_all(wanted)
        assert [type(each) for each in unknown] == [SpoolUnavailable] * 2
        replica.thaw()
        kept = await store.keep_all(wanted)
        assert [isinstance(each, Kept) and each.receipt.replayed for each in kept] == [True] * 2


async def test_a_primary_without_its_replica_has_no_room_for_mail(primary: ValkeyServer) -> None:
    wanted = settings(primary.url, replicas=1)
    async with Redis.connect(wanted) as redis:
        assert "0 replicas of 1" in (await Health(redis, wanted).check()).troubles[0]


async def test_a_full_primary_says_so_without_quoting_the_message(
    primary: ValkeyServer, replica: ValkeyServer
) -> None:
    await eventually(lambda: replicates(replica))
    with redis.Redis.from_url(primary.url) as client:
        client.config_set("maxmemory", "1")
    async with opened(primary) as store:
        with pytest.raises(SpoolFull) as caught:
            await keep(store, Letter(content=b"Subject: secret\r\n\r\nsecret\r\n"))
        assert "secret" not in str(caught.value.detail)
