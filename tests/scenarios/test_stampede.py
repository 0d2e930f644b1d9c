"""After an outage much is due at once: it goes out within the limits, and each mail once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.fakes.deployment import delivery, deployed, ledger, rows
from tests.fakes.dns import DnsServer, Trouble
from tests.fakes.smtp import SmtpServer
from tests.fakes.waiting import eventually

_LANES = 40


async def test_many_lanes_that_become_due_at_once_keep_to_the_window_of_their_site(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("mx.example.org", "127.0.0.1")
    for number in range(_LANES):
        dns.mx(f"example{number}.org", (10, "mx.example.org"))
    narrow = {"PILLARBOX_DELIVERY__FIRST_WINDOW": "2", "PILLARBOX_DELIVERY__WINDOW": "3"}
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=narrow) as pillarbox,
    ):
        server.reply("MAIL", "421 4.3.2 Not now")
        sent = [pillarbox.send(f"ann@example{n % _LANES}.org") for n in range(2 * _LANES)]
        messages = await asyncio.gather(*sent)
        await server.until(lambda: len(server.sessions) >= 5)
        server.behave()
        for message in messages:
            assert set((await pillarbox.settled(message)).values()) == {"delivered"}
        assert ledger([*server.mails, *server.refused]) == dict.fromkeys(messages, 1)
        assert server.peak <= 3


async def test_a_dns_that_is_down_defers_everything_counts_nothing_and_is_not_flooded(
    tmp_path: Path, dns: DnsServer
) -> None:
    names = [f"example{number}.org" for number in range(3)]
    for name in names:
        dns.a(name, "127.0.0.1")
        dns.trouble(name, Trouble.SERVFAIL)
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        began = time.monotonic()
        sent = [pillarbox.send(f"ann@{names[n % 3]}") for n in range(30)]
        messages = await asyncio.gather(*sent)
        await eventually(lambda: all_asked(dns, names, 3))
        # A failure is remembered for two seconds, however many mails wait for it.
        most = 1 + (time.monotonic() - began) / 2
        assert all(dns.questions[name, "MX"] <= most for name in names)
        for name in names:
            dns.heal(name)
        for message in messages:
            assert set((await pillarbox.settled(message)).values()) == {"delivered"}
            (_, *tries, _) = await pillarbox.events(message)
            assert all(delivery(each)["category"] == "network" for each in tries)
            (recipient,) = rows((await pillarbox.ask("GET", f"/messages/{message}"))["recipients"])
            assert recipient["attempts"] == 1
        assert ledger(server.mails) == dict.fromkeys(messages, 1)


async def all_asked(dns: DnsServer, names: list[str], times: int) -> bool:
    return all(dns.questions[name, "MX"] >= times for name in names)
