"""Redis that answers and yet takes nothing: 503 with a time to come back, and what was delivered is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.fakes.deployment import Deployment, deployed, ledger
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer, hold
from tests.fakes.waiting import eventually


def _be_replica(client: redis.Redis, _folder: Path) -> None:
    """Make it a read-only replica of a server that is not there."""
    client.replicaof("127.0.0.1", "1")


def _be_primary(client: redis.Redis, _folder: Path) -> None:
    client.replicaof("NO", "ONE")


def _fail_to_save(client: redis.Redis, folder: Path) -> None:
    """Let its snapshot fail, as on a full disk: it then answers every write with MISCONF."""
    (folder / "dump.rdb").mkdir()
    client.config_set("save", "3600 1000000")
    client.bgsave()


def _save_again(client: redis.Redis, folder: Path) -> None:
    (folder / "dump.rdb").rmdir()
    client.bgsave()


Change = Callable[[redis.Redis, Path], None]


@pytest.mark.parametrize(
    ("harm", "heal"),
    [(_be_replica, _be_primary), (_fail_to_save, _save_again)],
    ids=["replica", "misconf"],
)
async def test_a_redis_that_takes_no_writes_refuses_mail_and_hears_of_deliveries_later(
    tmp_path: Path, dns: DnsServer, harm: Change, heal: Change
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        at_dot, may_answer = asyncio.Event(), asyncio.Event()
        server.act("DOT", hold(may_answer, reached=at_dot), times=1)
        message = await pillarbox.send("ann@example.org")
        await asyncio.wait_for(at_dot.wait(), 30)
        with redis.Redis.from_url(pillarbox.valkey.url) as client:
            harm(client, pillarbox.valkey.directory)
            assert await eventually(pillarbox.refuses_mail)
            may_answer.set()
            await server.received(1)
            assert await pillarbox.statuses(message) == {"ann@example.org": "queued"}
            heal(client, pillarbox.valkey.directory)
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        after = await eventually(lambda: _accepted(pillarbox))
        assert await pillarbox.settled(after) == {"ann@example.org": "delivered"}
        assert ledger(server.mails)[message] == 1
        assert await pillarbox.told(message) == ["queued", "delivered"]


async def test_a_redis_that_is_loading_refuses_mail_until_it_has_loaded(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        with redis.Redis.from_url(pillarbox.valkey.url) as client:
            ballast = client.pipeline(transaction=False)
            for number in range(20_000):
                ballast.set("ballast", number)
            ballast.execute()
            pillarbox.valkey.kill()
            # Microseconds for each write: it goes on loading for some seconds.
            pillarbox.valkey.options = ("--key-load-delay", "200")
            pillarbox.valkey.launch()
            assert await eventually(lambda: _is_loading(client))
        assert await pillarbox.refuses_mail()
        await asyncio.to_thread(pillarbox.valkey.wait_until_ready)
        after = await eventually(lambda: _accepted(pillarbox))
        assert await pillarbox.settled(after) == {"ann@example.org": "delivered"}


async def _is_loading(client: redis.Redis) -> bool:
    try:
        client.ping()
    except redis.BusyLoadingError:
        return True
    except redis.ConnectionError:
        pass
    return False


async def _accepted(pillarbox: Deployment) -> str:
    return await pillarbox.insist(
        "after", {"from": "a@example.com", "to": "ann@example.org", "subject": "", "text": "x"}
    )
