from __future__ import annotations

import asyncio
from pathlib import Path

import redis

from tests.fakes.deployment import deployed
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer, halt


async def test_a_message_that_cannot_be_read_any_more_does_not_stop_the_others(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        at_data = asyncio.Event()
        server.act("DATA", halt(at_data), times=1)
        damaged = await pillarbox.send("ann@example.org")
        await asyncio.wait_for(at_data.wait(), 30)
        with redis.Redis.from_url(pillarbox.valkey.url) as client:
            client.hset(f"pillarbox:message:{damaged}", "m", b"\xffof a later version")
        await pillarbox.lose_worker()
        await asyncio.sleep(3)  # until the claim's lease of 2 s has ended, and the clock has met it
        # A retry needs the clock, which has to do its other duties all the same.
        server.reply("RCPT", "451 4.7.1 Later", times=1)
        healthy = await pillarbox.send("bob@example.org")
        assert await pillarbox.settled(healthy) == {"bob@example.org": "delivered"}
