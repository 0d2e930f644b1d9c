"""What happened with TLS on a day is counted by the workers and mailed to whom the domain names."""

from __future__ import annotations

import gzip
import json
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import redis

from app.spool.workers.reports import TlsLane
from tests.app.mail.verifiers import dkimpy_accepts
from tests.fakes.deployment import Deployment, deployed
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import Mail, SmtpServer, self_signed
from tests.fakes.waiting import eventually
from tests.scenarios.test_postfix import make_keys

QUEUE = f"pillarbox:due:{TlsLane().name}"


async def counted(pillarbox: Deployment) -> list[bytes]:
    """Wait until something is counted; return for which days and domains."""
    with redis.Redis.from_url(pillarbox.valkey.url) as client:

        async def members() -> list[bytes]:
            found = client.zrange(QUEUE, 0, -1)
            assert isinstance(found, list)
            return found

        return await eventually(members, within_s=20)


async def due_now(pillarbox: Deployment) -> None:
    """Wait until something is counted, and make its report due as if its day were over."""
    members = await counted(pillarbox)
    with redis.Redis.from_url(pillarbox.valkey.url) as client:
        client.zadd(QUEUE, dict.fromkeys(members, 0))
        client.zadd("pillarbox:lanes", {TlsLane().name: 0})


async def the_report(server: SmtpServer) -> Mail:
    await server.until(
        lambda: any(mail.recipients == ("tls@reports.example",) for mail in server.mails)
    )
    (mail,) = [mail for mail in server.mails if mail.recipients == ("tls@reports.example",)]
    return mail


async def test_a_domain_that_asks_for_reports_gets_one_signed_and_true(
    tmp_path: Path, dns: DnsServer
) -> None:
    records = make_keys(tmp_path / "dkim")
    for domain in ("example.org", "example.net", "reports.example"):
        dns.a(domain, "127.0.0.1")
        dns.txt(f"_smtp._tls.{domain}", "v=TLSRPTv1; rua=mailto:tls@reports.example")
    settings = {
        "PILLARBOX_REPORTS__TLS_FROM": "tls-reports@example.com",
        "PILLARBOX_DKIM__DIRECTORY": str(tmp_path / "dkim"),
    }
    async with (
        SmtpServer(certificate=self_signed()) as server,
        deployed(tmp_path, dns, server.port, settings=settings) as pillarbox,
    ):
        await pillarbox.settled(await pillarbox.send("ann@example.org"))
        await due_now(pillarbox)
        mail = await the_report(server)
        assert mail.mail_from == "tls-reports@example.com"
        assert dkimpy_accepts(
            mail.content, 0, {name.rstrip("."): text for name, text in records.items()}
        )
        parsed = message_from_bytes(mail.content, policy=default)
        assert isinstance(parsed, EmailMessage)
        (_, attached) = parsed.iter_parts()
        assert isinstance(attached, EmailMessage)
        report = json.loads(gzip.decompress(attached.get_content()))
        assert report["policies"] == [
            {
                "policy": {"policy-type": "no-policy-found", "policy-domain": "example.org"},
                "summary": {
                    "total-successful-session-count": 1,
                    "total-failure-session-count": 0,
                },
            }
        ]
        # What carried the report is not counted, though its domain wants reports too.
        await pillarbox.settled(await pillarbox.send("ben@example.net"))
        (member,) = await counted(pillarbox)
        assert b"example.net" in member
