from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fakes.clocks import Clock, wrong_by
from tests.fakes.deployment import Deployment, deployed, ledger
from tests.fakes.dns import DnsServer
from tests.fakes.processes import Process
from tests.fakes.smtp import SmtpServer, hold


async def restart(process: Process, offset: str) -> None:
    """Start a process again, on a machine whose clock is wrong."""
    await asyncio.to_thread(process.stop)
    process.environment |= wrong_by(offset)
    process.start()


async def use_wrong_api(pillarbox: Deployment, offset: str) -> None:
    await restart(pillarbox.api, offset)
    await pillarbox.ready(pillarbox.api, f"{pillarbox.api_url}/readyz")


@pytest.mark.parametrize("offset", ["+1h", "-1h"])
async def test_a_worker_whose_clock_is_wrong_delivers_retries_and_lets_nothing_expire_too_soon(
    tmp_path: Path, dns: DnsServer, offset: str
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        await restart(pillarbox.worker, offset)
        server.reply("RCPT", "451 4.7.1 Later", times=1)
        message = await pillarbox.send("ann@example.org", expires_in=600)
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert await pillarbox.told(message) == ["queued", "deferred", "delivered"]


async def test_mail_from_an_api_whose_clock_is_ahead_is_sent_by_workers_behind_it(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        await use_wrong_api(pillarbox, "+1h")
        accepted = [await pillarbox.send("ann@example.org") for _ in range(3)]
        for message in accepted:
            assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}


@pytest.mark.parametrize("jump", ["+3600", "-3600"])
async def test_a_clock_that_jumps_sends_nothing_twice_and_stops_nothing(
    tmp_path: Path, dns: DnsServer, monkeypatch: pytest.MonkeyPatch, jump: str
) -> None:
    dns.a("example.org", "127.0.0.1")
    dns.a("example.net", "127.0.0.1")
    clock = Clock(tmp_path / "clock")
    for name, value in clock.environment().items():
        monkeypatch.setenv(name, value)
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        at_dot, may_answer = asyncio.Event(), asyncio.Event()
        server.act("DOT", hold(may_answer, reached=at_dot), times=1)
        held = await pillarbox.send("ann@example.org")
        await asyncio.wait_for(at_dot.wait(), 30)
        clock.set(jump)
        await asyncio.sleep(2.5)  # longer than the lease of 2 s, which is what this is about
        may_answer.set()
        assert await pillarbox.settled(held) == {"ann@example.org": "delivered"}
        server.reply("RCPT", "451 4.7.1 Later", times=1)
        later = await pillarbox.send("bob@example.net")
        assert await pillarbox.settled(later) == {"bob@example.net": "delivered"}
        assert ledger([*server.mails, *server.refused]) == {held: 1, later: 1}
        assert await pillarbox.told(held) == ["queued", "delivered"]
