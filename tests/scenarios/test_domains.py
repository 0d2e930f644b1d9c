"""A customer's way to a domain: copy records, press verify, send; and what becomes of mail when it goes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

from app.identity.domain import DomainStatus
from app.ids import ProjectId
from app.settings import DkimSettings, RedisSettings, Settings
from app.spool.client import Redis
from tests.fakes.deployment import Answer, Deployment, data, delivery, deployed, rows
from tests.fakes.dns import DnsServer
from tests.fakes.identity import domains_of, put
from tests.fakes.receiver import Receiver
from tests.fakes.smtp import SmtpServer
from tests.fakes.waiting import eventually

SENDER = "hello@news.shop.example"


def wanted(server: DnsServer) -> Mapping[str, str]:
    """Return settings with the rule, and with the port of the name server."""
    return {
        "PILLARBOX_SECRETS__KEY": base64.b64encode(b"s" * 48).decode(),
        "PILLARBOX_DOMAINS__REQUIRED": "true",
        "PILLARBOX_DOMAINS__CACHE": "0.05",
        "PILLARBOX_DOMAINS__PAUSE": "0.001",
        "PILLARBOX_DOMAINS__SPF": '["include:spf.mail.example.net"]',
        "PILLARBOX_DOMAINS__RETURN_PATH_HOST": "in.mail.example.net",
        "PILLARBOX_DOMAINS__NAMESERVER_PORT": str(server.port),
        "PILLARBOX_DOMAINS__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
    }


def delegate(dns: DnsServer, server: DnsServer) -> None:
    """Let `server` be the only name server of shop.example."""
    dns.ns("shop.example", "ns1.example.net")
    dns.a("ns1.example.net", server.host)
    dns.a("example.org", "127.0.0.1")


def publish(server: DnsServer, domain: Answer) -> None:
    """Copy the records of an answer into the zone of the name server."""
    for record in rows(domain["records"]):
        name, value = str(record["name"]), str(record["value"])
        if record["type"] == "MX":
            preference, _, host = value.partition(" ")
            server.mx(name, (int(preference), host))
        else:
            server.txt(name, [value[start : start + 255] for start in range(0, len(value), 255)])


async def verified(pillarbox: Deployment, server: DnsServer) -> None:
    """Add shop.example, publish its records and verify it."""
    domain = await pillarbox.ask("POST", "/domains", {"name": "shop.example"})
    assert [each["purpose"] for each in rows(domain["records"])].count("dkim") == 2
    publish(server, domain)
    found = await pillarbox.ask("POST", "/domains/shop.example/verify")
    assert found["status"] == "verified", found


async def test_copy_the_records_press_verify_and_send(tmp_path: Path, dns: DnsServer) -> None:
    async with (
        DnsServer("127.0.0.2") as server,
        SmtpServer() as smtp,
        Receiver() as receiver,
        deployed(tmp_path, dns, smtp.port, settings=wanted(server)) as pillarbox,
    ):
        delegate(dns, server)
        hook = {"url": receiver.url, "events": ["domain.verified"]}
        receiver.secret = str((await pillarbox.ask("POST", "/endpoints", hook))["secret"])
        domain = await pillarbox.ask("POST", "/domains", {"name": "shop.example"})
        found = await pillarbox.ask("POST", "/domains/shop.example/verify")
        assert (found["status"], rows(found["records"])[0]["state"]) == ("pending", "missing")
        refused = {"from": SENDER, "to": "ann@example.org", "subject": "", "text": "Hi"}
        async with pillarbox.session.post(f"{pillarbox.api_url}/messages", json=refused) as answer:
            assert answer.status == HTTPStatus.UNPROCESSABLE_ENTITY
            assert "domain_not_verified" in await answer.text()
        publish(server, domain)
        found = await pillarbox.ask("POST", "/domains/shop.example/verify")
        assert (found["status"], {each["state"] for each in rows(found["records"])}) == (
            "verified",
            {"ok"},
        )
        message = await pillarbox.send("ann@example.org", **{"from": SENDER})
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        await receiver.until(lambda: len(receiver.events) == 1)
        (event,) = receiver.events
        assert (event["type"], data(event)["domain"]) == ("domain.verified", "shop.example")
        assert (data(event)["status"], data(event)["sequence"]) == ("verified", 1)


async def test_the_clock_looks_at_a_new_domain_by_itself(tmp_path: Path, dns: DnsServer) -> None:
    async with (
        DnsServer("127.0.0.2") as server,
        deployed(tmp_path, dns, 1, settings=wanted(server)) as pillarbox,
        Redis.connect(RedisSettings(url=pillarbox.valkey.url)) as redis,
    ):
        delegate(dns, server)
        publish(server, await pillarbox.ask("POST", "/domains", {"name": "shop.example"}))
        member = "acme/shop.example"
        assert await redis.call("ZADD", redis.keys.domain_checks, "XX", "CH", 1, member) == 1

        async def is_verified() -> bool:
            found = await pillarbox.ask("GET", "/domains/shop.example")
            return found["status"] == "verified"

        assert await eventually(is_verified)


async def test_mail_that_waits_is_not_sent_from_a_domain_that_was_deleted(
    tmp_path: Path, dns: DnsServer
) -> None:
    async with (
        DnsServer("127.0.0.2") as server,
        SmtpServer() as smtp,
        deployed(tmp_path, dns, smtp.port, settings=wanted(server)) as pillarbox,
    ):
        delegate(dns, server)
        await verified(pillarbox, server)
        smtp.reply("RCPT", "451 4.7.1 Later")
        message = await pillarbox.send("ann@example.org", **{"from": SENDER})
        async with pillarbox.session.delete(f"{pillarbox.api_url}/domains/shop.example") as gone:
            assert gone.status == HTTPStatus.NO_CONTENT
        assert await pillarbox.settled(message) == {"ann@example.org": "bounced"}
        last = (await pillarbox.events(message))[-1]
        assert delivery(last)["text"] == (
            "5.7.1 not sent: news.shop.example is no domain of the project any more"
        )
        assert delivery(last)["category"] == "authentication"
        assert smtp.mails == []


async def test_mail_of_a_failing_domain_waits_until_that_is_put_right(
    tmp_path: Path, dns: DnsServer
) -> None:
    async with (
        DnsServer("127.0.0.2") as server,
        SmtpServer() as smtp,
        deployed(
            tmp_path, dns, smtp.port, settings={**wanted(server), "PILLARBOX_DOMAINS__HOLD": "0.3"}
        ) as pillarbox,
        Redis.connect(RedisSettings(url=pillarbox.valkey.url)) as redis,
    ):
        delegate(dns, server)
        await verified(pillarbox, server)
        domains = domains_of(redis, Settings(dkim=DkimSettings(required=False)))
        smtp.reply("RCPT", "451 4.7.1 Later")
        message = await pillarbox.send("ann@example.org", **{"from": SENDER})
        right = await domains.one(ProjectId("acme"), "shop.example")
        failing = replace(right, status=DomainStatus.FAILING)
        await put(domains, right, failing)

        async def is_held() -> bool:
            last = (await pillarbox.events(message))[-1]
            return "delivery" in data(last) and "4.7.20 not sent" in str(delivery(last)["text"])

        assert await eventually(is_held)
        smtp.reply("RCPT", "250 2.1.5 Ok")
        await put(domains, failing, right)
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert (await pillarbox.told(message))[-1] == "delivered"
