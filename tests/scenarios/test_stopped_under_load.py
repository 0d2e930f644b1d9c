from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fakes.deployment import Deployment, delivery, deployed, ledger
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer, hold


async def test_a_worker_that_is_told_to_stop_under_load_ends_and_leaves_nothing_undone(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        enough = asyncio.Event()
        sending = [asyncio.create_task(_send_until(enough, pillarbox)) for _ in range(10)]
        for _ in range(4):
            await server.received(len(server.mails) + 20)
            assert await asyncio.to_thread(pillarbox.worker.stop) == 0
            pillarbox.worker.start()
        enough.set()
        accepted = [message for task in sending for message in await task]
        for message in accepted:
            assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert ledger(server.mails) == dict.fromkeys(accepted, 1)


async def test_a_worker_that_is_killed_before_it_could_stop_says_that_its_mail_is_in_doubt(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        at_dot = asyncio.Event()
        server.act("DOT", hold(asyncio.Event(), reached=at_dot), times=1)
        message = await pillarbox.send("ann@example.org")
        await asyncio.wait_for(at_dot.wait(), 30)
        pillarbox.worker.child.terminate()
        waiting = await pillarbox.send("ann@example.org")
        await asyncio.to_thread(pillarbox.worker.kill)
        pillarbox.worker.start()
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert await pillarbox.settled(waiting) == {"ann@example.org": "delivered"}
        assert ledger(server.mails) == {message: 1, waiting: 1}
        assert delivery((await pillarbox.events(message))[1])["in_doubt"]


async def _send_until(enough: asyncio.Event, pillarbox: Deployment) -> list[str]:
    accepted = []
    while not enough.is_set():
        accepted.append(await pillarbox.send("ann@example.org"))
        await asyncio.sleep(0.02)
    return accepted
