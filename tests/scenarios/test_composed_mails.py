"""What the caller wrote is what the receiver gets: one mail, byte for byte as it was signed, whoever it is for."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from tests.app.mail.letters import body_of, canonical
from tests.app.mail.mime.calendars import CALENDAR
from tests.app.mail.mime.test_compose import STRAY
from tests.fakes.deployment import Deployment, deployed
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import Mail, SmtpServer
from tests.scenarios.test_postfix import make_keys, verdicts

SMUGGLED = (
    "MAIL FROM:<eve@example.net>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\nSubject: evil\r\n\r\nevil"
)


@asynccontextmanager
async def signing(
    directory: Path, dns: DnsServer, server: SmtpServer
) -> AsyncIterator[tuple[Deployment, dict[str, str]]]:
    """Run a Pillarbox that signs for example.com; also yields the records of its keys."""
    for domain in ("example.org", "example.net"):
        dns.a(domain, "127.0.0.1")
    records = make_keys(directory / "dkim")
    settings = {"PILLARBOX_DKIM__DIRECTORY": str(directory / "dkim")}
    async with deployed(directory, dns, server.port, settings=settings) as pillarbox:
        yield pillarbox, records


def read(mail: Mail) -> EmailMessage:
    message = message_from_bytes(mail.content, policy=default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def assert_untouched(mail: Mail, records: dict[str, str]) -> None:
    """Check that what came off the wire is what was signed, and is canonical."""
    assert verdicts(mail.content, records) == [True, True]
    assert f"SIZE={len(mail.content)}" in mail.parameters.split()
    assert mail.content.isascii()
    assert mail.content.count(b"\r") == mail.content.count(b"\n") == mail.content.count(b"\r\n")
    assert not re.search(rb"(?:^|\n)\.(?!\.)", mail.wire)


def file_of(message: EmailMessage, name: str) -> bytes:
    (part,) = [part for part in message.iter_attachments() if part.get_filename() == name]
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


async def test_nothing_in_a_body_ends_a_mail_early_or_changes_it_on_the_way(
    tmp_path: Path, dns: DnsServer
) -> None:
    bodies = [
        around.format(stray) + SMUGGLED + stray
        for stray in STRAY
        for around in ("plain{}", ".{}", "Grüße{}", "Привет{}", "x" * 2_000 + "{}")
    ]

    async def send(pillarbox: Deployment, number: int, body: str) -> None:
        text = body.replace("\0", "")
        await pillarbox.send(
            "ann@example.org",
            subject=f"{number}",
            text=text,
            html=f"<pre>{text}",
            amp=f"<!doctype html><html ⚡4email>{text}",
            attachments=[
                {"filename": "a.bin", "content": base64.b64encode(body.encode()).decode()},
                {
                    "filename": "b.eml",
                    "content": base64.b64encode(f"A: b\r\n\r\n{body}".encode()).decode(),
                    "content_type": "message/rfc822",
                },
            ],
        )

    async with SmtpServer() as server, signing(tmp_path, dns, server) as (pillarbox, records):
        await asyncio.gather(*(send(pillarbox, *each) for each in enumerate(bodies)))
        mails = await server.received(len(bodies))
        commands = [line for session in server.sessions for line in session.commands]
    assert len(mails) == len(bodies)
    assert not [line for line in commands if "eve" in line or "evil" in line]
    for mail in mails:
        assert_untouched(mail, records)
        message = read(mail)
        body = bodies[int(message["Subject"])]
        text = canonical(body.replace("\0", ""))
        assert body_of(message, "plain").rstrip() == text.rstrip()
        assert body_of(message, "html").rstrip() == f"<pre>{text}".rstrip()
        assert file_of(message, "a.bin") == body.encode()


RICH: dict[str, object] = {
    "from": {"address": "shop@example.com", "name": "Ōsaka, “Books” 📚"},
    "subject": "Ваш заказ 🚚 " + "очень " * 30,
    "text": "a long line " * 200,
    "html": '<img src="cid:logo@example.com">' + "ü" * 2_000,
    "amp": "<!doctype html><html ⚡4email>",
    "calendar": {"content": CALENDAR},
    "in_reply_to": "a@b.example",
    "references": [f"{number}@b.example" for number in range(200)],
    "stream": "bulk",
    "attachments": [
        {"filename": "日本語 🎉 " * 20 + ".pdf", "content": "JVBERg=="},
        {"filename": "logo.png", "content": "iVBORw==", "content_id": "logo@example.com"},
        {
            "filename": "old.eml",
            "content": base64.b64encode(b"Subject: old\n\n.\nnews\n").decode(),
            "content_type": "message/rfc822",
        },
    ],
    "headers": {
        "List-Id": "News <news.example.com>",
        "List-Unsubscribe": f"<https://example.com/u/{'x' * 700}>, <mailto:u@example.com>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "X-Note": "größe  " * 50,
    },
}


async def test_every_kind_of_content_arrives_signed_and_as_it_was_meant(
    tmp_path: Path, dns: DnsServer
) -> None:
    async with SmtpServer() as server, signing(tmp_path, dns, server) as (pillarbox, records):
        await pillarbox.send("ann@example.org", **RICH)
        (mail,) = await server.received(1)
    assert_untouched(mail, records)
    message = read(mail)
    assert [part.get_content_type() for part in message.walk() if not part.is_multipart()] == [
        *["text/plain", "text/x-amp-html", "text/html", "image/png", "text/calendar"],
        *["application/pdf", "text/plain", "application/ics"],
    ]
    assert message["In-Reply-To"] == "<a@b.example>"
    assert message["References"].startswith("<0@b.example> <")
    assert message["References"].endswith("<199@b.example> <a@b.example>")
    assert message["Auto-Submitted"] == "auto-generated"
    signed = re.search(rb"\bh=([^;]+);", mail.content)
    assert signed
    assert {b"References", b"List-Unsubscribe", b"List-Unsubscribe-Post", b"Auto-Submitted"} <= set(
        re.sub(rb"\s", b"", signed[1]).split(b":")
    )


async def test_a_mail_that_is_sent_again_is_the_same_mail(tmp_path: Path, dns: DnsServer) -> None:
    async with SmtpServer() as server, signing(tmp_path, dns, server) as (pillarbox, records):
        server.reply("DOT", "451 4.3.0 Try again later", times=2)
        message = await pillarbox.send(
            "ann@example.org", html="<p>Grüße", calendar={"content": CALENDAR}
        )
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        (taken,) = server.mails
        assert len(server.refused) == 2
        assert {mail.content for mail in server.refused} == {taken.content}
    assert_untouched(taken, records)
    assert read(taken)["Message-ID"] == f"<{message.removeprefix('msg_')}@example.com>"


async def test_two_mails_never_have_the_same_message_id(tmp_path: Path, dns: DnsServer) -> None:
    async with SmtpServer() as server, signing(tmp_path, dns, server) as (pillarbox, _):
        await asyncio.gather(*(pillarbox.send("ann@example.org") for _ in range(20)))
        mails = await server.received(20)
    assert len({read(mail)["Message-ID"] for mail in mails}) == 20


async def test_nobody_learns_of_bcc_in_any_form(tmp_path: Path, dns: DnsServer) -> None:
    forms = [
        "Secret Ann <secret@example.net>",
        {"address": "secret@example.net", "name": "Secret Ann"},
        ["SECRET@example.net", {"address": "hidden@example.org"}],
    ]
    async with SmtpServer() as server, signing(tmp_path, dns, server) as (pillarbox, _):
        sent = [
            await pillarbox.send(
                *to,
                bcc=bcc,
                calendar={"content": CALENDAR},
                stream=stream,
                html="<p>",
                list_unsubscribe={"url": "https://example.com/u"},
            )
            for bcc in forms
            for to in ((), ("ann@example.org",))
            for stream in ("bulk", "transactional")
        ]
        for message in sent:
            assert set((await pillarbox.settled(message)).values()) == {"delivered"}
        mails = list(server.mails)
    assert (
        sum("secret@example.net" in [each.lower() for each in mail.recipients] for mail in mails)
        == 12
    )
    for mail in mails:
        assert not re.search(rb"(?i)secret|hidden|\bbcc\s*:", mail.content)
        decoded = [part.get_payload(decode=True) for part in read(mail).walk()]
        assert not [
            each for each in decoded if isinstance(each, bytes) and b"secret" in each.lower()
        ]


async def test_a_mail_tells_nothing_of_who_runs_the_service(tmp_path: Path, dns: DnsServer) -> None:
    async with SmtpServer() as server, signing(tmp_path, dns, server) as (pillarbox, _):
        await pillarbox.send(
            "ann@example.org", tags=["very-important"], metadata={"customer": "17"}
        )
        (mail,) = await server.received(1)
    message = read(mail)
    assert set(message.keys()) == {
        *["DKIM-Signature", "Date", "From", "To", "Subject", "Message-ID"],
        *["MIME-Version", "Content-Type", "Content-Transfer-Encoding"],
    }
    # The project, what its caller keeps to itself, our software and the machine.
    # Signatures are left out, where any short word may come up by chance.
    unsigned = re.sub(rb"DKIM-Signature:(?:[^\r]|\r\n )*\r\n", b"", mail.content)
    told = unsigned.lower() + mail.parameters.lower().encode()
    for secret in (
        b"acme",
        b"scenario",
        b"very-important",
        b"customer",
        b"pillarbox",
        b"127.0.0.1",
        b"localhost",
    ):
        assert secret not in told
