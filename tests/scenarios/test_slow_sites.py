from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.deployment import Deployment, delivery, deployed
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer, hang, smtp_servers

PLACES = 6


@asynccontextmanager
async def beside_slow_sites(
    directory: Path, dns: DnsServer, **settings: str
) -> AsyncIterator[tuple[Deployment, SmtpServer, SmtpServer]]:
    """Run a worker of few places whose patience with a host has no end in the time of a test."""
    for number in range(2 * PLACES):
        dns.mx(f"slow{number}.example.org", (10, f"mx.slow{number}.example.org"))
        dns.a(f"mx.slow{number}.example.org", "127.0.0.2")
    dns.a("quick.example.org", "127.0.0.3")
    chosen = {
        "PILLARBOX_WORKER__DRAINS": str(PLACES),
        "PILLARBOX_DELIVERY__DRAIN_TIME": "0.5",
        "PILLARBOX_DELIVERY__TIMEOUTS__RCPT": "600",
        "PILLARBOX_DELIVERY__TIMEOUTS__DATA": "600",
        **settings,
    }
    async with (
        smtp_servers("127.0.0.2", "127.0.0.3") as (slow, quick),
        deployed(directory, dns, quick.port, settings=chosen) as pillarbox,
    ):
        yield pillarbox, slow, quick


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
async def test_one_site_that_keeps_us_waiting_does_not_hold_up_another(
    tmp_path: Path, dns: DnsServer, step: str
) -> None:
    async with beside_slow_sites(tmp_path, dns) as (pillarbox, slow, quick):
        slow.act(step, hang)
        for number in range(5):
            await pillarbox.send(f"user{number}@slow0.example.org")
        await slow.until(lambda: len(slow.sessions) >= 1)
        for number in range(3):
            message = await pillarbox.send(f"user{number}@quick.example.org")
            assert set((await pillarbox.settled(message)).values()) == {"delivered"}
        assert len(quick.mails) == 3


async def test_sites_that_keep_us_waiting_do_not_take_every_place_of_a_worker(
    tmp_path: Path, dns: DnsServer
) -> None:
    async with beside_slow_sites(tmp_path, dns) as (pillarbox, slow, quick):
        slow.act("RCPT", hang)
        stuck = [
            await pillarbox.send(f"user@slow{number}.example.org") for number in range(2 * PLACES)
        ]
        await slow.until(lambda: len(slow.sessions) >= PLACES)
        for number in range(3):
            message = await pillarbox.send(f"user{number}@quick.example.org")
            assert set((await pillarbox.settled(message)).values()) == {"delivered"}
        slow.behave()
        await quick.received(3)
        told = [event for message in stuck for event in await pillarbox.events(message)]
        waits = [delivery(event) for event in told if event["type"] == "message.deferred"]
        assert waits
        assert all("too slow" in str(wait["text"]) for wait in waits)
