"""Addresses beyond ASCII, from the request to the mailbox: where SMTPUTF8 is spoken and where it is not."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_string
from email.policy import SMTPUTF8
from http import HTTPStatus
from pathlib import Path

import orjson
import pytest

from app.processes.ports import free_port
from tests.fakes import postfix
from tests.fakes.deployment import Deployment, delivery, deployed
from tests.fakes.dns import DnsServer
from tests.fakes.postfix import Postfix
from tests.fakes.smtp import SmtpServer
from tests.fakes.waiting import eventually
from tests.scenarios.test_postfix import make_keys, verdicts

BEYOND = "用户@xn--bcher-kva.example"
NEEDS_POSTFIX = pytest.mark.skipif(
    postfix.why_not() is not None, reason=postfix.why_not() or "it can run"
)


@asynccontextmanager
async def delivering_to_postfix(
    directory: Path, dns: DnsServer, *, utf8: str, settings: dict[str, str] | None = None
) -> AsyncIterator[tuple[Deployment, Postfix]]:
    """Run all against a Postfix that takes mail for bücher.example, with SMTPUTF8 ("yes") or without ("no")."""
    port, domain = free_port(), "xn--bcher-kva.example"
    dns.mx(domain, (10, "mx.example.org"))
    dns.a("mx.example.org", "127.0.0.1")
    receiver = postfix.receiving(directory / "postfix", port, domain, smtputf8_enable=utf8)
    with receiver:
        async with deployed(directory, dns, port, settings=settings) as pillarbox:
            yield pillarbox, receiver


async def stored(receiver: Postfix, count: int) -> list[str]:
    """Wait for so many mails, and return them."""

    async def look() -> list[str] | None:
        found = [path.read_bytes().decode() for path in receiver.mails]
        return found if len(found) == count else None

    found = await eventually(look)
    assert found is not None
    return found


@NEEDS_POSTFIX
async def test_a_mail_between_addresses_beyond_ascii_arrives_where_smtputf8_is_spoken(
    tmp_path: Path, dns: DnsServer
) -> None:
    records = make_keys(tmp_path / "dkim")
    keys = {"PILLARBOX_DKIM__DIRECTORY": str(tmp_path / "dkim"), "PILLARBOX_DKIM__REQUIRED": "true"}
    sender = {"address": "jürgen@example.com", "name": "Jürgen, Müller"}
    async with delivering_to_postfix(tmp_path, dns, utf8="yes", settings=keys) as (
        pillarbox,
        receiver,
    ):
        message = await pillarbox.send(
            *("用户@bücher.example", "Ann <ann@BÜCHER.example>"),
            **{"from": sender, "subject": "Grüße", "text": "ä" * 100 + "\n"},
        )
        assert await pillarbox.settled(message) == {
            BEYOND: "delivered",
            "ann@xn--bcher-kva.example": "delivered",
        }
        arrived = await stored(receiver, 2)
    for mail in arrived:
        assert verdicts(mail.encode().replace(b"\n", b"\r\n"), records) == [True, True]
        read = message_from_string(mail, policy=SMTPUTF8)
        assert read["From"].addresses[0].addr_spec == "jürgen@example.com"
        assert read["To"].addresses[0].addr_spec == BEYOND
        assert read["Subject"] == "Grüße"
        # Only what has to be is not ASCII: Postfix' own fields stand before ours.
        ours = mail[mail.index("\nDate:") :]
        assert ours.replace("jürgen", "").replace("用户", "").isascii()


@NEEDS_POSTFIX
async def test_without_smtputf8_only_what_needs_it_bounces_and_is_reported_on(
    tmp_path: Path, dns: DnsServer
) -> None:
    async with delivering_to_postfix(tmp_path, dns, utf8="no") as (pillarbox, receiver):
        seen = await pillarbox.send("用户@bücher.example", "ann@bücher.example")
        assert set((await pillarbox.settled(seen)).values()) == {"bounced"}
        named = await pillarbox.send("Jürgen Müller <ann@bücher.example>", subject="Grüße")
        assert set((await pillarbox.settled(named)).values()) == {"delivered"}
        hidden = await pillarbox.send(
            "ann@bücher.example", bcc=["用户@bücher.example"], report_to="sender@bücher.example"
        )
        assert await pillarbox.settled(hidden) == {
            "ann@xn--bcher-kva.example": "delivered",
            BEYOND: "bounced",
        }
        for message in (seen, hidden):
            (bounce, *_) = [
                each
                for each in await pillarbox.events(message)
                if each["type"] == "message.bounced"
            ]
            told = delivery(bounce)
            assert (told["final"], told["category"]) == (True, "content")
            assert str(told["text"]).startswith("5.6.7 ")
            attempts = await pillarbox.attempts(message)
            assert len([each for each in attempts if "MAIL FROM" in str(each)]) == (
                message == hidden
            )
        # The mail to the other one, the mail with a name beyond ASCII, and the report.
        arrived = await stored(receiver, 3)
    (report,) = [mail for mail in arrived if "global-delivery-status" in mail]
    part = report.partition("Content-Type: message/global-delivery-status")[2].partition("\n\n")[2]
    status = b64decode(part.partition("\n--=_")[0]).decode()
    assert f"Final-Recipient: utf-8; {BEYOND}\r\n" in status
    assert "Status: 5.6.7\r\n" in status
    assert report.isascii()


NASTY = [
    ("user@EXAMPLE.org", "example.org"),
    ("user@ｅｘａｍｐｌｅ。org", "example.org"),
    ("user@\u212aiosk.org", "kiosk.org"),
    ("user@faß.org", "xn--fa-hia.org"),
    ("user@fass.org", "fass.org"),
    ("user@XN--BCHER-KVA.org", "xn--bcher-kva.org"),
    ("user@bu\u0308cher.org", "xn--bcher-kva.org"),
    ("user@\u0131stanbul.org", "xn--stanbul-qfb.org"),
    ("user@שלום.org", "xn--9dbne9b.org"),
    ("用户+a=b/c'd@пример.org", "xn--e1afmkfd.org"),
    ('"x@y.org, (z) <w@v.org>" <user!#$&\'*+/=?^_`{|}~-@a--b.org>', "a--b.org"),
]
REFUSED = [
    "user@exa mple.org",
    "user@a.org,user@b.org",
    "user(@b.org)@a.org",
    '"user@b.org "@a.org',
    "user%b.org@a.org",
    "@b.org:user@a.org",
    "g: user@b.org;",
    "user@[127.0.0.1]",
    "user@127.0.0.1",
    "user@a.org\u0000.b.org",
    "user@a.org\r\nRCPT TO:<x@b.org>",
    "user@a.org> NOTIFY=NEVER RCPT TO:<x@b.org",
    "user@a.org\u2028b.org",
    "user＠b.org@a.org",
    "user@b.org＠a.org",
    "user@a．org．",
    "user@a.org\u202e",
    "user@xn---bbk.org",
    "user@i❤.org",
    "user@אבa.org",
]


async def test_the_domain_that_was_checked_is_the_one_looked_up_and_named(
    tmp_path: Path, dns: DnsServer
) -> None:
    domains = {domain for _, domain in NASTY}
    for domain in domains:
        dns.mx(domain, (10, "mx.example.net"))
    dns.a("mx.example.net", "127.0.0.1")
    async with SmtpServer() as receiver:
        receiver.extensions.append("SMTPUTF8")
        async with deployed(tmp_path, dns, receiver.port) as pillarbox:
            for text in REFUSED:
                assert await is_refused(pillarbox, text), text
            for text, domain in NASTY:
                (address, status), *others = (
                    await pillarbox.settled(await pillarbox.send(text))
                ).items()
                assert (address.rpartition("@")[2], status, others) == (domain, "delivered", [])
    asked = {name for name, kind in dns.questions if kind == "MX"}
    named = {mail.recipients[0].rpartition("@")[2] for mail in receiver.mails}
    assert asked == named == domains
    assert len(receiver.mails) == len(NASTY)
    for session in receiver.sessions:
        for command in session.commands:
            assert re.fullmatch(r"(?:EHLO|MAIL|RCPT|DATA|RSET|QUIT)(?: [!-~\x80-\xff ]+)?", command)
    verbs = [verb for session in receiver.sessions for verb in session.verbs()]
    assert [verbs.count(verb) for verb in ("MAIL", "RCPT", "DATA")] == [len(NASTY)] * 3


async def is_refused(pillarbox: Deployment, to: str) -> bool:
    """Tell whether a mail to this is refused for its address."""
    body = orjson.dumps({"from": "a@example.com", "to": to, "subject": "", "text": "x"})
    headers, url = {"Content-Type": "application/json"}, f"{pillarbox.api_url}/messages"
    async with pillarbox.session.post(url, data=body, headers=headers) as answer:
        found = orjson.loads(await answer.read())
        assert found["errors"][0]["pointer"] == "/to"
        return answer.status == HTTPStatus.UNPROCESSABLE_ENTITY
