from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fakes.deployment import deployed
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer, hold


async def test_a_connection_that_is_stuck_does_not_hold_up_the_next_mail_to_its_domain(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    endless = {"PILLARBOX_DELIVERY__TIMEOUTS__DOT": "600"}
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=endless) as pillarbox,
    ):
        may_answer = asyncio.Event()
        server.act("DOT", hold(may_answer), times=1)
        stuck = await pillarbox.send("ann@example.org")
        await server.until(
            lambda: "DATA" in server.sessions[0].verbs() if server.sessions else False
        )
        quick = await pillarbox.send("bob@example.org")
        assert await pillarbox.settled(quick) == {"bob@example.org": "delivered"}
        may_answer.set()
        assert await pillarbox.settled(stuck) == {"ann@example.org": "delivered"}
