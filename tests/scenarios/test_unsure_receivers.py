"""Receivers that take the message and leave it open whether they have it (RFC 1047)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fakes.deployment import delivery, deployed, ledger
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer, drop, hold, smtp_servers


async def test_a_reply_to_the_final_dot_that_comes_very_late_makes_no_second_copy(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port, workers=2) as pillarbox:
        at_dot, may_answer = asyncio.Event(), asyncio.Event()
        server.act("DOT", hold(may_answer, reached=at_dot), times=1)
        message = await pillarbox.send("ann@example.org")
        await asyncio.wait_for(at_dot.wait(), 30)
        await asyncio.sleep(3)  # longer than the lease of 2 s, which is what this is about
        may_answer.set()
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert ledger([*server.mails, *server.refused]) == {message: 1}
        assert await pillarbox.told(message) == ["queued", "delivered"]


async def test_a_host_that_hangs_up_after_the_final_dot_is_asked_again_and_no_other_host(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.mx("example.org", (10, "mx1.example.org"), (20, "mx2.example.org"))
    dns.a("mx1.example.org", "127.0.0.2")
    dns.a("mx2.example.org", "127.0.0.3")
    async with (
        smtp_servers("127.0.0.2", "127.0.0.3") as (first, second),
        deployed(tmp_path, dns, first.port) as pillarbox,
    ):
        first.act("DOT", drop, times=1)
        message = await pillarbox.send("ann@example.org")
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        # Both copies have the same Message-ID, by which a receiver can tell.
        assert (ledger(first.refused), ledger(first.mails)) == ({message: 1}, {message: 1})
        assert second.sessions == []
        assert await pillarbox.told(message) == ["queued", "deferred", "delivered"]
        assert delivery((await pillarbox.events(message))[1])["in_doubt"]
