from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from tests.fakes.deployment import delivery, deployed, rows
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer, self_signed


async def test_a_posted_message_arrives_and_its_history_says_where(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.mx("example.org", (10, "mx.example.org"))
    dns.a("mx.example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        message = await pillarbox.send("ann@example.org", subject="Grüße", html="<p>Hello!</p>")
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        (mail,) = await server.received(1)
        parsed = message_from_bytes(mail.content, policy=policy.default)
        assert (mail.mail_from, mail.recipients) == ("sender@example.com", ("ann@example.org",))
        assert (parsed["subject"], parsed["to"]) == ("Grüße", "ann@example.org")
        assert parsed["message-id"].endswith("@example.com>")
        assert await pillarbox.told(message) == ["queued", "delivered"]
        said = delivery((await pillarbox.events(message))[-1])
        assert (said["host"], said["ip"], said["code"], said["enhanced_code"], said["final"]) == (
            "mx.example.org",
            "127.0.0.1",
            250,
            "2.0.0",
            True,
        )
        (attempt,) = await pillarbox.attempts(message)
        assert [each["result"] for each in rows(attempt["recipients"])] == ["delivered"]
        assert attempt["dialogue"]


async def test_a_mail_of_html_only_arrives_with_a_text(tmp_path: Path, dns: DnsServer) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        await pillarbox.send("ann@example.org", text=None, html="<p>Hello, <b>Ann</b>!</p>")
        (mail,) = await server.received(1)
        parsed = message_from_bytes(mail.content, EmailMessage, policy=policy.default)
        bodies = [parsed.get_body((form,)) for form in ("plain", "html")]
        assert [body and body.get_content().strip() for body in bodies] == [
            "Hello, Ann!",
            "<p>Hello, <b>Ann</b>!</p>",
        ]


async def test_tls_is_used_where_it_is_offered_whatever_the_certificate(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with (
        SmtpServer(certificate=self_signed()) as server,
        deployed(tmp_path, dns, server.port) as pillarbox,
    ):
        message = await pillarbox.send("ann@example.org")
        await pillarbox.settled(message)
        (mail,) = await server.received(1)
        assert mail.tls == "TLSv1.3"
        assert delivery((await pillarbox.events(message))[-1])["tls"] == "TLSv1.3"


async def test_bcc_is_nowhere_but_in_the_envelope(tmp_path: Path, dns: DnsServer) -> None:
    dns.a("example.org", "127.0.0.1")
    dns.a("example.net", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        message = await pillarbox.send(
            "ann@example.org", bcc=["secret@example.net", "hidden@example.org"]
        )
        await pillarbox.settled(message)
        mails = await server.received(2)
        assert {address for mail in mails for address in mail.recipients} == {
            "ann@example.org",
            "secret@example.net",
            "hidden@example.org",
        }
        for mail in mails:
            assert b"secret" not in mail.wire
            assert b"hidden" not in mail.wire
            assert b"bcc" not in mail.wire.lower()


async def test_recipients_of_one_domain_share_a_transaction(tmp_path: Path, dns: DnsServer) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        message = await pillarbox.send(*(f"user{n}@example.org" for n in range(20)))
        await pillarbox.settled(message)
        (mail,) = await server.received(1)
        assert len(mail.recipients) == 20
