"""Finished mails from the application to the mailbox: `POST /messages/raw` over the whole path."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import orjson
import pytest

from app.processes.ports import free_port
from tests.fakes import postfix
from tests.fakes.deployment import Deployment, delivery, deployed, rows
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer
from tests.fakes.waiting import eventually
from tests.scenarios.test_postfix import make_keys, verdicts

GUIDE = Path(__file__).parents[2] / "docs" / "raw.md"
HEAD = b"From: Shop <sender@example.com>\r\nTo: ann@example.org\r\n"
PLAIN = HEAD + b"Subject: hello\r\nDate: Mon, 1 Jan 2029 00:00:00 +0000\r\nMessage-ID: <a@b>\r\n"


async def post(pillarbox: Deployment, mail: bytes, *to: str, **parameters: str) -> str:
    """Post a finished mail and return the id of its message."""
    query = urlencode([*(("rcpt_to", each) for each in to), *parameters.items()])
    url, headers = f"{pillarbox.api_url}/messages/raw?{query}", {"Content-Type": "message/rfc822"}
    async with pillarbox.session.post(url, data=mail, headers=headers) as answer:
        text = await answer.read()
        assert answer.status == 202, text
        return str(orjson.loads(text)["id"])


async def test_a_finished_mail_arrives_byte_for_byte_with_its_own_envelope(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    body = b"\r\n.one\r\n..\r\n\xff\xfe 8-bit  \r\n" + b"x" * 998 + b"\r\n\r\n\r\n"
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        message = await post(
            pillarbox, PLAIN + body, "ann@example.org", mail_from="bounces@example.com"
        )
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        (mail,) = await server.received(1)
    assert mail.content == PLAIN + body
    assert (mail.mail_from, mail.recipients) == ("bounces@example.com", ("ann@example.org",))
    assert "BODY=8BITMIME" in mail.parameters


async def test_no_receiver_sees_whom_bcc_names(tmp_path: Path, dns: DnsServer) -> None:
    dns.a("example.org", "127.0.0.1")
    dns.a("example.net", "127.0.0.1")
    hidden = (
        b"bCC: secret@example.net,\r\n\tother@example.net,\r\n secret@example.net\r\n"
        b"RESENT-BCC: third@example.net\r\n"
    )
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        message = await post(
            pillarbox, HEAD + hidden + b"\r\nHello\r\n", "ann@example.org", "secret@example.net"
        )
        await pillarbox.settled(message)
        mails = await server.received(2)
        shown = await pillarbox.ask("GET", f"/messages/{message}")
    assert {each for mail in mails for each in mail.recipients} == {
        "ann@example.org",
        "secret@example.net",
    }
    assert [each["field"] for each in rows(shown["recipients"])] == ["to", "bcc"]
    for mail in mails:
        assert not re.search(rb"(?i)\bbcc\s*:|secret|other|third", mail.wire)
        assert re.search(rb"(?m)^Message-ID: <[0-9a-f]{32}@example.com>\r$", mail.content)


async def test_eight_bits_and_utf8_go_only_where_they_are_offered(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    eight = PLAIN + b"\r\n\xfc\r\n"
    utf8 = PLAIN.replace(b"hello", "Grüße".encode()) + b"\r\nHello\r\n"
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        told = {}
        for extensions in ([], ["8BITMIME"], ["8BITMIME", "SMTPUTF8"]):
            server.extensions = extensions
            # A session that is kept knows the extensions of before.
            await pillarbox.lose_worker()
            for name, mail in (("eight", eight), ("utf8", utf8)):
                message = await post(pillarbox, mail, "ann@example.org")
                await pillarbox.settled(message)
                end = delivery((await pillarbox.events(message))[-1])
                told[name, len(extensions)] = str(end["text"])[:5] if end["category"] else "taken"
    assert told == {
        ("eight", 0): "5.6.3",
        ("utf8", 0): "5.6.7",
        ("eight", 1): "taken",
        ("utf8", 1): "5.6.7",
        ("eight", 2): "taken",
        ("utf8", 2): "taken",
    }
    assert [mail.content for mail in server.mails] == [eight, eight, utf8]


async def test_tls_required_no_is_written_once_where_it_is_wished(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    said = b"TLS-Required: No\r\n" + PLAIN + b"\r\nHello\r\n"
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        for mail in (said, said.partition(b"\r\n")[2]):
            await pillarbox.settled(await post(pillarbox, mail, "ann@example.org", tls="optional"))
        mails = await server.received(2)
    assert [mail.content for mail in mails] == [said, said]


@pytest.mark.skipif(postfix.why_not() is not None, reason=postfix.why_not() or "")
async def test_the_line_of_the_guide_sends_a_mail_that_verifies_in_a_real_mailbox(
    tmp_path: Path, dns: DnsServer
) -> None:
    records = make_keys(tmp_path / "dkim")
    port = free_port()
    dns.mx("example.org", (10, "mx.example.org"))
    dns.a("mx.example.org", "127.0.0.1")
    (tmp_path / "mail.eml").write_bytes(
        b"From: =?utf-8?q?J=C3=BCrgen?= <hello@example.com>\nTo: ann+shop@example.org\n"
        b"Bcc: secret@example.org\nSubject: A\n folded  subject\nContent-Type: text/plain; charset=utf-8\n"
        b"Content-Transfer-Encoding: 8bit\n\n.hidden dot\nGr\xc3\xbc\xc3\x9fe  \n\n\n"
    )
    keys = {"PILLARBOX_DKIM__DIRECTORY": str(tmp_path / "dkim"), "PILLARBOX_DKIM__REQUIRED": "true"}
    with postfix.receiving(tmp_path / "postfix", port, "example.org") as receiver:
        async with deployed(tmp_path, dns, port, settings=keys) as pillarbox:
            message = await asyncio.to_thread(_follow_guide, tmp_path, pillarbox)
            assert await pillarbox.settled(message) == {"ann+shop@example.org": "delivered"}

            async def arrived() -> bytes | None:
                return receiver.mails[0].read_bytes() if receiver.mails else None

            stored = await eventually(arrived)
    assert stored is not None
    assert verdicts(stored.replace(b"\n", b"\r\n"), records) == [True, True]
    assert stored.startswith(b"Return-Path: <bounces@example.com>\n")
    assert b"secret" not in stored
    assert stored.endswith(
        b"MIME-Version: 1.0\nFrom: =?utf-8?q?J=C3=BCrgen?= <hello@example.com>\nTo: ann+shop@example.org\n"
        b"Subject: A\n folded  subject\nContent-Type: text/plain; charset=utf-8\n"
        b"Content-Transfer-Encoding: 8bit\n\n.hidden dot\nGr\xc3\xbc\xc3\x9fe  \n\n\n"
    )


def _follow_guide(folder: Path, pillarbox: Deployment) -> str:
    """Run the line that the guide shows, as it stands but for the address of the service and the domains."""
    (shown,) = re.findall(r"```sh\n(curl.*?)```", GUIDE.read_text(), re.DOTALL)
    line = shown.replace("https://mail.example", pillarbox.api_url)
    line = line.replace("ada+shop@example.com", "ann+shop@example.org")
    line = line.replace("bounces@shop.example", "bounces@example.com")
    key = str(pillarbox.session.headers["Authorization"]).removeprefix("Bearer ")
    run = subprocess.run(
        ["sh", "-c", line],
        env={"PILLARBOX_KEY": key, "PATH": "/usr/bin:/bin"},
        cwd=folder,
        capture_output=True,
        timeout=30,
        check=True,
    )
    return str(orjson.loads(run.stdout)["id"])
