from __future__ import annotations

from pathlib import Path

from tests.fakes.deployment import Deployment, delivery, deployed, rows
from tests.fakes.dns import DnsServer, Trouble
from tests.fakes.smtp import SmtpServer, smtp_servers
from tests.fakes.waiting import eventually


async def test_a_greylisted_mail_is_delivered_at_a_later_attempt(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.reply("RCPT", "451 4.7.1 Greylisted, come back later", times=2)
        message = await pillarbox.send("ann@example.org")
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert await pillarbox.told(message) == ["queued", "deferred", "deferred", "delivered"]
        said = delivery((await pillarbox.events(message))[1])
        assert (said["code"], said["enhanced_code"], said["final"]) == (451, "4.7.1", False)
        assert said["next_attempt_at"]
        assert len(await server.received(1)) == 1


async def test_a_refusal_of_our_only_address_bounces_nobody_and_spares_the_site(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.reply("RCPT", "550 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org")
        message = await pillarbox.send("ann@example.org")
        assert await eventually(lambda: deferred(pillarbox, message))
        said = delivery((await pillarbox.events(message))[1])
        assert (said["code"], said["category"], said["final"]) == (550, "reputation", False)
        found = await pillarbox.ask("GET", f"/messages/{message}")
        assert [each["attempts"] for each in rows(found["recipients"])] == [0]
        await pillarbox.send("bob@example.org")
        waiting = await pillarbox.send("carol@example.org")
        assert await pillarbox.told(waiting) == ["queued"]
        assert len(server.sessions) == 1


async def test_mail_waits_while_all_hosts_are_down_and_goes_out_when_they_are_back(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.mx("example.org", (10, "mx1.example.org"), (20, "mx2.example.org"))
    dns.a("mx1.example.org", "127.0.0.2")
    dns.a("mx2.example.org", "127.0.0.3")
    async with smtp_servers("127.0.0.2", "127.0.0.3") as servers:
        port = servers[0].port
        for server in servers:
            await server.stop()
        async with deployed(tmp_path, dns, port) as pillarbox:
            messages = [await pillarbox.send(f"user{n}@example.org") for n in range(5)]
            assert await eventually(lambda: deferred(pillarbox, messages[0]))
            async with SmtpServer("127.0.0.3", port) as back:
                for message in messages:
                    assert set((await pillarbox.settled(message)).values()) == {"delivered"}
                assert len(await back.received(5)) == 5
            found = await pillarbox.ask("GET", f"/messages/{messages[0]}")
            assert [each["attempts"] for each in rows(found["recipients"])] == [1]


async def deferred(pillarbox: Deployment, message: str) -> bool:
    return "deferred" in await pillarbox.told(message)


async def test_the_second_host_takes_what_the_first_cannot(tmp_path: Path, dns: DnsServer) -> None:
    dns.mx("example.org", (10, "mx1.example.org"), (20, "mx2.example.org"))
    dns.a("mx1.example.org", "127.0.0.2")
    dns.a("mx2.example.org", "127.0.0.3")
    async with smtp_servers("127.0.0.2", "127.0.0.3") as (first, second):
        await first.stop()
        async with deployed(tmp_path, dns, second.port) as pillarbox:
            message = await pillarbox.send("ann@example.org")
            await pillarbox.settled(message)
            assert await pillarbox.told(message) == ["queued", "delivered"]
            assert delivery((await pillarbox.events(message))[-1])["host"] == "mx2.example.org"


async def test_dns_trouble_defers_and_never_bounces(tmp_path: Path, dns: DnsServer) -> None:
    dns.a("example.org", "127.0.0.1")
    dns.trouble("example.org", Trouble.SERVFAIL)
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        message = await pillarbox.send("ann@example.org")
        assert await eventually(lambda: deferred(pillarbox, message))
        dns.heal("example.org")
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        events = await pillarbox.events(message)
        assert delivery(events[1])["category"] == "network"
