from __future__ import annotations

from pathlib import Path

from tests.fakes.deployment import data, delivery, deployed
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer
from tests.fakes.waiting import eventually


async def test_one_refused_recipient_of_three_bounces_and_the_others_get_one_copy(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.reply("RCPT", "550 5.1.1 No such user", when="nobody@")
        message = await pillarbox.send("ann@example.org", "nobody@example.org", "bob@example.org")
        assert await pillarbox.settled(message) == {
            "ann@example.org": "delivered",
            "nobody@example.org": "bounced",
            "bob@example.org": "delivered",
        }
        (mail,) = await server.received(1)
        assert mail.recipients == ("ann@example.org", "bob@example.org")
        (bounce,) = [
            event for event in await pillarbox.events(message) if event["type"] == "message.bounced"
        ]
        said = delivery(bounce)
        assert data(bounce)["address"] == "nobody@example.org"
        assert (said["category"], said["code"], said["enhanced_code"], said["text"]) == (
            "recipient",
            550,
            "5.1.1",
            "No such user",
        )


async def test_a_domain_that_takes_no_mail_bounces_without_a_connection(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.mx("example.org", (0, "."))
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        message = await pillarbox.send("ann@example.org")
        assert await pillarbox.settled(message) == {"ann@example.org": "bounced"}
        assert server.sessions == []
        said = delivery((await pillarbox.events(message))[-1])
        assert "5.1.10" in str(said["text"])


async def test_private_addresses_are_never_connected_to(tmp_path: Path, dns: DnsServer) -> None:
    dns.mx("example.org", (10, "mx.example.org"))
    dns.a("mx.example.org", "127.0.0.1")
    closed = {"PILLARBOX_DELIVERY__ALLOWED_NETWORKS": "[]"}
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=closed) as pillarbox,
    ):
        message = await pillarbox.send("ann@example.org")
        assert await pillarbox.settled(message) == {"ann@example.org": "bounced"}
        assert server.sessions == []
        assert "5.4.4" in str(delivery((await pillarbox.events(message))[-1])["text"])


async def test_a_message_expires_when_its_time_ends_while_it_is_deferred(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.reply("RCPT", "451 4.3.0 Later")
        message = await pillarbox.send("ann@example.org", expires_in=2)
        assert await pillarbox.settled(message) == {"ann@example.org": "expired"}
        told = await pillarbox.told(message)
        assert (told[0], told[1], told[-1]) == ("queued", "deferred", "expired")
        assert server.mails == []


async def test_a_message_expires_while_its_lane_rests(tmp_path: Path, dns: DnsServer) -> None:
    dns.a("example.org", "127.0.0.1")
    resting = {"PILLARBOX_DELIVERY__SITE_BACK_OFF": "[3600]"}
    async with SmtpServer() as server:
        await server.stop()
        async with deployed(tmp_path, dns, server.port, settings=resting) as pillarbox:
            message = await pillarbox.send("ann@example.org", expires_in=2)
            assert await pillarbox.settled(message) == {"ann@example.org": "expired"}


async def test_a_domain_that_does_not_exist_bounces_after_a_second_look(
    tmp_path: Path, dns: DnsServer
) -> None:
    soon = {"PILLARBOX_DNS__SECOND_LOOK": "0.5"}
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=soon) as pillarbox,
    ):
        message = await pillarbox.send("ann@nowhere.example")
        assert await pillarbox.settled(message) == {"ann@nowhere.example": "bounced"}
        assert await pillarbox.told(message) == ["queued", "deferred", "bounced"]
        said = delivery((await pillarbox.events(message))[-1])
        assert str(said["text"]).startswith("5.1.2 ")
        assert dns.questions["nowhere.example", "MX"] >= 2
        assert server.sessions == []


async def test_a_domain_that_is_there_at_the_second_look_gets_its_mail(
    tmp_path: Path, dns: DnsServer
) -> None:
    soon = {"PILLARBOX_DNS__SECOND_LOOK": "2"}
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=soon) as pillarbox,
    ):
        message = await pillarbox.send("ann@new.example")

        async def is_deferred() -> bool:
            return "deferred" in await pillarbox.told(message)

        assert await eventually(is_deferred)
        dns.a("new.example", "127.0.0.1")
        assert await pillarbox.settled(message) == {"ann@new.example": "delivered"}
