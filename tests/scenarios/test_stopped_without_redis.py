from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fakes.deployment import deployed, ledger
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer, hold


async def test_a_worker_that_is_stopped_while_redis_is_away_still_records_what_it_delivered(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    impatient = {"PILLARBOX_WORKER__PATIENCE": "0.2"}
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=impatient) as pillarbox,
    ):
        may_answer = asyncio.Event()
        server.act("DOT", hold(may_answer), times=1)
        message = await pillarbox.send("ann@example.org")
        await server.until(
            lambda: "DATA" in server.sessions[0].verbs() if server.sessions else False
        )
        pillarbox.valkey.kill()
        may_answer.set()
        await server.received(1)
        pillarbox.worker.child.terminate()
        await asyncio.sleep(1)  # longer than the worker's patience, which is what this is about
        await asyncio.to_thread(pillarbox.valkey.start)
        assert await asyncio.to_thread(pillarbox.worker.child.wait, 20) == 0
        pillarbox.worker.start()
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert ledger(server.mails) == {message: 1}
        assert await pillarbox.told(message) == ["queued", "delivered"]
