from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fakes.deployment import deployed, ledger
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer


async def test_two_workers_send_one_message_once(tmp_path: Path, dns: DnsServer) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port, workers=2) as pillarbox:
        message = await pillarbox.send("ann@example.org")
        await pillarbox.settled(message)
        assert ledger(server.mails) == {message: 1}


async def test_two_workers_share_many_messages_and_send_each_once(
    tmp_path: Path, dns: DnsServer
) -> None:
    for n in range(5):
        dns.a(f"example{n}.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port, workers=2) as pillarbox:
        accepted = await asyncio.gather(
            *(pillarbox.send(f"ann@example{n % 5}.org") for n in range(100))
        )
        for message in accepted:
            await pillarbox.settled(message)
        assert ledger(server.mails) == dict.fromkeys(accepted, 1)
        assert server.refused == []
