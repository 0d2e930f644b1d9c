"""One message, and a mail of its own for each of its recipients."""

from __future__ import annotations

import asyncio
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from tests.fakes.deployment import data, deployed
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer, halt

NAMES = {"ann@example.org": "Añn", "bob@example.org": "Боб", "cat@example.net": "猫"}
MERGE: dict[str, object] = {
    "subject": "For {{ name }}",
    "text": "Dear {{ name }}, {{ offer }}\n",
    "variables": {"offer": "all of you get this"},
    "recipients_data": {address: {"name": name} for address, name in NAMES.items()},
}


def reread(content: bytes) -> EmailMessage:
    mail = message_from_bytes(content, policy=default)
    assert isinstance(mail, EmailMessage)
    return mail


async def test_each_recipient_gets_its_own_mail_and_one_that_is_deferred_the_same_again(
    tmp_path: Path, dns: DnsServer
) -> None:
    for domain in ("example.org", "example.net"):
        dns.a(domain, "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.reply("DOT", "451 4.7.1 Later", times=1)
        message = await pillarbox.send(*NAMES, **MERGE)
        assert await pillarbox.settled(message) == dict.fromkeys(NAMES, "delivered")
        (deferred,) = server.refused
        found = {mail.recipients: mail for mail in server.mails}
        assert set(found) == {(address,) for address in NAMES}
        assert found[deferred.recipients].content == deferred.content
        for address, name in NAMES.items():
            mail = reread(found[address,].content)
            assert (mail["To"], mail["Subject"]) == (address, f"For {name}")
            assert mail.get_content() == f"Dear {name}, all of you get this\r\n"
        unique = message.removeprefix("msg_")
        ids = {str(reread(mail.content)["Message-ID"]) for mail in server.mails}
        assert ids == {f"<{unique}.{index}@example.com>" for index in range(3)}


async def test_each_recipient_has_a_history_of_its_own(tmp_path: Path, dns: DnsServer) -> None:
    for domain in ("example.org", "example.net"):
        dns.a(domain, "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.reply("RCPT", "550 5.1.1 No such user", when="bob@")
        message = await pillarbox.send(*NAMES, **MERGE)
        ended = {**dict.fromkeys(NAMES, "delivered"), "bob@example.org": "bounced"}
        assert await pillarbox.settled(message) == ended
        told: dict[str, list[str]] = {}
        for event in await pillarbox.events(message):
            told.setdefault(str(data(event)["address"]), []).append(str(event["type"]))
        assert told == {
            address: ["message.queued", f"message.{status}"] for address, status in ended.items()
        }
        assert len(await pillarbox.attempts(message)) == 3


async def test_what_a_lost_worker_held_is_sent_as_the_copy_of_its_recipient(
    tmp_path: Path, dns: DnsServer
) -> None:
    for domain in ("example.org", "example.net"):
        dns.a(domain, "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        at_data = asyncio.Event()
        server.act("DATA", halt(at_data), times=1)
        message = await pillarbox.send(*NAMES, **MERGE)
        await asyncio.wait_for(at_data.wait(), 30)
        await pillarbox.lose_worker()
        assert await pillarbox.settled(message) == dict.fromkeys(NAMES, "delivered")
        got = {mail.recipients[0]: str(reread(mail.content)["Subject"]) for mail in server.mails}
        assert got == {address: f"For {name}" for address, name in NAMES.items()}
        assert len(server.mails) == len(NAMES)
