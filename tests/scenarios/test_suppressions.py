"""Suppression over the whole path: who bounced for good, or is on the list, is not written to."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.wire import Json
from tests.fakes.deployment import data, delivery, deployed, rows
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer
from tests.fakes.waiting import eventually

NOT_DEAD = {
    "reputation": "550 5.7.1 Our system has detected that this message is likely unsolicited mail",
    "policy": "550 5.7.1 Message rejected due to policy",
    "mailbox_full": "550 5.2.2 Mailbox full",
    "content": "554 5.6.0 Malformed header",
}


async def test_an_address_that_bounced_for_good_gets_no_second_message_and_nobody_is_asked(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.reply("RCPT", "550 5.1.1 No such user", when="ann@")
        first = await pillarbox.send("ann@example.org")
        assert await pillarbox.settled(first) == {"ann@example.org": "bounced"}
        (entry,) = rows((await pillarbox.ask("GET", "/suppressions/ann@example.org"))["data"])
        assert (entry["stream"], entry["reason"]) == ("transactional", "bounced")
        assert (entry["message_id"], entry["note"]) == (first, "550 5.1.1 No such user")

        seen = len(server.sessions)
        answer = await pillarbox.ask(
            "POST",
            "/messages",
            {"from": "sender@example.com", "to": "Ann@example.org", "text": "again"},
        )
        (accepted,) = rows(answer["recipients"])
        assert accepted["status"] == "suppressed"
        second = str(answer["id"])
        assert await pillarbox.statuses(second) == {"Ann@example.org": "suppressed"}
        (event,) = await pillarbox.events(second)
        assert event["type"] == "message.suppressed"
        assert (delivery(event)["suppression"], delivery(event)["final"]) == ("bounced", True)
        assert await pillarbox.attempts(second) == []
        # Another goes through after it, so that the suppressed one would have been seen by now.
        third = await pillarbox.send("bob@example.org", "ann@example.org")
        assert await pillarbox.settled(third) == {
            "bob@example.org": "delivered",
            "ann@example.org": "suppressed",
        }
        (mail,) = await server.received(1)
        assert mail.recipients == ("bob@example.org",)
        assert len(server.sessions) <= seen + 1

        await pillarbox.session.delete(f"{pillarbox.api_url}/suppressions/ann@example.org")
        server.reply("RCPT", "250 2.1.5 Ok", when="ann@")
        fourth = await pillarbox.send("ann@example.org")
        assert await pillarbox.settled(fourth) == {"ann@example.org": "delivered"}


async def test_what_is_not_about_the_address_suppresses_nobody(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        for name, reply in NOT_DEAD.items():
            server.reply("RCPT", reply, when=f"{name}@")
        message = await pillarbox.send(*(f"{name}@example.org" for name in NOT_DEAD))
        assert set((await pillarbox.settled(message)).values()) == {"bounced"}
        assert (await pillarbox.ask("GET", "/suppressions"))["data"] == []
        again = await pillarbox.send("policy@example.org")
        assert await pillarbox.settled(again) == {"policy@example.org": "bounced"}


async def test_one_refusal_of_a_message_for_two_suppresses_neither(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.reply("DOT", "550 5.1.1 One of them is unknown")
        message = await pillarbox.send("ann@example.org", "bob@example.org")
        assert set((await pillarbox.settled(message)).values()) == {"bounced"}
        assert (await pillarbox.ask("GET", "/suppressions"))["data"] == []


@pytest.mark.parametrize("others", [(), ("bob@example.org",)])
async def test_who_is_suppressed_while_a_message_waits_is_not_tried_again(
    tmp_path: Path, dns: DnsServer, others: tuple[str, ...]
) -> None:
    dns.a("example.org", "127.0.0.1")
    waits = {"PILLARBOX_DELIVERY__RETRY_AFTER": "[2]"}
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=waits) as pillarbox,
    ):
        server.reply("RCPT", "451 4.3.0 Later", times=1 + len(others))
        message = await pillarbox.send("ann@example.org", *others)

        async def is_deferred() -> bool:
            return "deferred" in await pillarbox.told(message)

        assert await eventually(is_deferred)
        await pillarbox.ask("POST", "/suppressions", {"addresses": ["ANN@example.org"]})
        ends = await pillarbox.settled(message)
        assert ends == {"ann@example.org": "suppressed", **dict.fromkeys(others, "delivered")}
        last = [each for each in await pillarbox.events(message) if _is_about_ann(each)][-1]
        assert (last["type"], delivery(last)["suppression"]) == ("message.suppressed", "manual")
        assert [mail.recipients for mail in server.mails] == ([others] if others else [])
        assert len(await pillarbox.attempts(message)) == 1 + bool(others)


def _is_about_ann(event: dict[str, Json]) -> bool:
    return data(event)["address"] == "ann@example.org"


async def test_bounces_suppress_nobody_where_the_settings_say_so(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    off = {"PILLARBOX_SUPPRESSIONS__ON_BOUNCE": "false"}
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=off) as pillarbox,
    ):
        server.reply("RCPT", "550 5.1.1 No such user")
        for _ in range(2):
            message = await pillarbox.send("ann@example.org")
            assert await pillarbox.settled(message) == {"ann@example.org": "bounced"}
