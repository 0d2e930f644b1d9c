from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fakes.deployment import Deployment, deployed, ledger
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer

_SENDERS = 4


async def test_an_api_killed_under_load_keeps_one_message_for_each_idempotency_key(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        enough, accepted = asyncio.Event(), dict[str, str]()
        async with asyncio.TaskGroup() as senders:
            for sender in range(_SENDERS):
                senders.create_task(_insist_until(enough, pillarbox, sender, accepted))
            for _ in range(3):
                await server.received(len(server.mails) + 10)
                await asyncio.to_thread(pillarbox.api.kill)
                pillarbox.api.start()
                await pillarbox.ready(pillarbox.api, f"{pillarbox.api_url}/readyz")
            enough.set()
        for key, message in accepted.items():
            assert await pillarbox.insist(key, _mail(key)) == message
            assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert ledger(server.mails) == dict.fromkeys(accepted.values(), 1)


def _mail(key: str) -> dict[str, object]:
    return {"from": "sender@example.com", "to": "ann@example.org", "subject": key, "text": "Hello!"}


async def _insist_until(
    enough: asyncio.Event, pillarbox: Deployment, sender: int, accepted: dict[str, str]
) -> None:
    number = 0
    while not enough.is_set():
        number += 1
        key = f"sender-{sender}-mail-{number}"
        accepted[key] = await pillarbox.insist(key, _mail(key))
        await asyncio.sleep(0.02)
