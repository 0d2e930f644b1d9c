from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fakes.deployment import Deployment, deployed, ledger
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer


async def test_a_worker_that_is_told_to_stop_under_load_ends_and_leaves_nothing_undone(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        enough = asyncio.Event()
        sending = [asyncio.create_task(_send_until(enough, pillarbox)) for _ in range(10)]
        for _ in range(4):
            # Well before the places lapse that were reserved for drains of the worker that stopped.
            async with asyncio.timeout(7):
                await server.received(len(server.mails) + 20)
            assert await asyncio.to_thread(pillarbox.worker.stop) == 0
            pillarbox.worker.start()
        enough.set()
        accepted = [message for task in sending for message in await task]
        for message in accepted:
            assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert ledger(server.mails) == dict.fromkeys(accepted, 1)


async def _send_until(enough: asyncio.Event, pillarbox: Deployment) -> list[str]:
    accepted = []
    while not enough.is_set():
        accepted.append(await pillarbox.send("ann@example.org"))
        await asyncio.sleep(0.02)
    return accepted
