from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import redis

from tests.fakes.deployment import deployed, ledger
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer, hold
from tests.fakes.waiting import eventually


@pytest.mark.parametrize("is_torn", [False, True], ids=["killed", "torn"])
async def test_what_was_answered_202_survives_a_redis_that_ends_in_the_middle_of_a_write(
    tmp_path: Path, dns: DnsServer, is_torn: bool
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        await asyncio.to_thread(pillarbox.worker.kill)
        accepted = await asyncio.gather(*(pillarbox.send("ann@example.org") for _ in range(50)))
        pillarbox.valkey.kill()
        if is_torn:
            pillarbox.valkey.tear()
        await asyncio.to_thread(pillarbox.valkey.start)
        pillarbox.worker.start()
        for message in accepted:
            assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert ledger(server.mails) == dict.fromkeys(accepted, 1)


async def test_redis_away_for_ten_seconds_refuses_new_mail_and_then_everything_goes_on(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.reply("RCPT", "451 4.7.1 Later", times=3)
        before = [await pillarbox.send("ann@example.org") for _ in range(3)]
        pillarbox.valkey.kill()
        assert await pillarbox.refuses_mail()
        async with pillarbox.session.get(f"{pillarbox.api_url}/readyz") as answer:
            assert answer.status == 503
        async with pillarbox.session.get(f"{pillarbox.api_url}/healthz") as answer:
            assert answer.status == 200
        await asyncio.sleep(10)  # the outage itself
        assert pillarbox.worker.child.poll() is None
        await asyncio.to_thread(pillarbox.valkey.start)
        after = await pillarbox.send("ann@example.org")
        for message in (*before, after):
            assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert ledger(server.mails) == dict.fromkeys((*before, after), 1)
        assert "Traceback" not in pillarbox.worker.log.read_text()


async def test_an_outcome_that_came_while_redis_was_away_is_recorded_when_it_is_back(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        at_dot, may_answer = asyncio.Event(), asyncio.Event()
        server.act("DOT", hold(may_answer, reached=at_dot), times=1)
        message = await pillarbox.send("ann@example.org")
        await asyncio.wait_for(at_dot.wait(), 30)
        pillarbox.valkey.kill()
        may_answer.set()
        await server.received(1)
        await asyncio.to_thread(pillarbox.valkey.start)
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert ledger(server.mails) == {message: 1}
        assert await pillarbox.told(message) == ["queued", "delivered"]


async def test_losing_every_key_of_the_alarm_clock_loses_no_mail(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        await asyncio.to_thread(pillarbox.worker.kill)
        accepted = [await pillarbox.send("ann@example.org") for _ in range(5)]
        with redis.Redis.from_url(pillarbox.valkey.url) as client:
            keys = [*client.scan_iter("arq:*"), b"pillarbox:queue"]
            assert client.delete(*keys) > 0
        pillarbox.worker.start()
        for message in accepted:
            assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}


async def test_a_full_redis_refuses_new_mail_and_delivers_what_it_has(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        await asyncio.to_thread(pillarbox.worker.kill)
        accepted = [await pillarbox.send("ann@example.org", text="x" * 10_000) for _ in range(5)]
        with redis.Redis.from_url(pillarbox.valkey.url) as client:
            # Jobs that nobody can take out meanwhile, since that is a write too.
            client.zadd("pillarbox:queue", {f"job{number}": 0 for number in range(1_000)})
            used = int(client.info("memory")["used_memory"])
            client.config_set("maxmemory", str(used - 1))
        assert await eventually(pillarbox.refuses_mail)
        pillarbox.worker.start()
        for message in accepted:
            assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
