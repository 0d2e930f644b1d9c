"""Receivers as they are in the field: Postfix, Exim and aiosmtpd take what we send, and say what we understand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from aiosmtpd.smtp import SMTP
from aiosmtpd.smtp import Envelope as Received
from aiosmtpd.smtp import Session as Peer

from app.processes.ports import LOOPBACK, free_port
from tests.fakes import exim, postfix
from tests.fakes.smtp import self_signed
from tests.fakes.waiting import eventually
from tests.worker.smtp.parts import Counting, client, envelope
from worker.outcomes.outcome import Outcome, Verdict
from worker.routing.hosts import Host
from worker.smtp.attempt import Attempted
from worker.smtp.envelope import Envelope

# What a Postfix says of recipients, as the other receivers are told to.
VERDICTS = (
    "inline:{ {nobody@example.org = 550 5.1.1 No such user here},"
    " {later@example.org = 451 4.7.1 Greylisted, come back later} }"
)
BODY = b"".join(b"%04d ....\r\n.\r\n..\r\n" % number for number in range(5000))


@dataclass(frozen=True)
class Receiver:
    """A server on loopback, whether it agrees on TLS, and the mails that it has taken."""

    port: int
    has_tls: bool
    mails: Callable[[], list[bytes]]

    async def take(self, *mails: Envelope) -> list[Outcome]:
        """Carry mails to it, one after the other, and return all outcomes."""
        host = Host("mx.example.org", LOOPBACK, 10, self.port)
        async with client() as sender:
            attempts = [await sender.carrier.carry([host], mail, Counting()) for mail in mails]
        return [outcome for attempted in attempts for outcome in _checked(self, attempted)]

    async def arrived(self, count: int) -> list[bytes]:
        """Wait until so many mails are in the mailbox, and return them with line ends of the wire."""

        async def look() -> list[bytes] | None:
            found = self.mails()
            return found if len(found) == count else None

        found = await eventually(look)
        assert found is not None
        return [mail.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for mail in found]


def _checked(receiver: Receiver, attempted: Attempted) -> tuple[Outcome, ...]:
    for outcome in attempted.outcomes:
        assert outcome.peer is not None
        assert (outcome.peer.tls is not None) == receiver.has_tls
    return attempted.outcomes


class _Mailbox:
    """What aiosmtpd asks."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_RCPT(
        self, _server: SMTP, _session: Peer, received: Received, address: str, _options: list[str]
    ) -> str:
        local = address.partition("@")[0]
        if local in {"nobody", "later"}:
            return "550 5.1.1 No such user" if local == "nobody" else "451 4.7.1 Greylisted"
        received.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, _server: SMTP, _session: Peer, received: Received) -> str:
        assert isinstance(received.content, bytes)
        self.mails.append(received.content)
        return "250 2.0.0 Ok"


async def _aiosmtpd(stack: ExitStack, *, has_tls: bool) -> Receiver:
    loop, mailbox = asyncio.get_running_loop(), _Mailbox()
    context = self_signed() if has_tls else None
    server = await loop.create_server(
        lambda: SMTP(
            mailbox, hostname="x.example", enable_SMTPUTF8=True, tls_context=context, loop=loop
        ),
        LOOPBACK,
    )
    stack.callback(server.close)
    return Receiver(server.sockets[0].getsockname()[1], has_tls, lambda: mailbox.mails)


def _exim(stack: ExitStack, directory: Path, *, has_tls: bool) -> Receiver:
    if reason := exim.why_not():
        pytest.skip(reason)
    port = free_port()
    server = stack.enter_context(exim.Exim(directory, port, "example.org", has_tls=has_tls))
    return Receiver(port, has_tls, lambda: [path.read_bytes() for path in server.mails])


def _postfix(stack: ExitStack, directory: Path, *, has_tls: bool) -> Receiver:
    if reason := postfix.why_not():
        pytest.skip(reason)
    port = free_port()
    rules = f"check_recipient_access {VERDICTS}, reject_unauth_destination"
    server = stack.enter_context(
        postfix.receiving(
            directory,
            port,
            "example.org",
            smtpd_recipient_restrictions=rules,
            smtputf8_enable="yes",
            **(_certified(directory) if has_tls else {}),
        )
    )
    return Receiver(port, has_tls, lambda: [path.read_bytes() for path in server.mails])


def _certified(directory: Path) -> dict[str, str]:
    """Return the settings of a Postfix that offers STARTTLS."""
    chain = directory / "chain.pem"
    trustme.CA().issue_cert("postfix.example.org").private_key_and_cert_chain_pem.write_to_path(
        str(chain)
    )
    return {"smtpd_tls_security_level": "may", "smtpd_tls_chain_files": str(chain)}


@pytest.fixture(
    params=["postfix", "postfix with TLS", "exim", "exim with TLS", "aiosmtpd", "aiosmtpd with TLS"]
)
async def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Receiver]:
    kind = str(request.param)
    with ExitStack() as stack:
        if kind.startswith("postfix"):
            yield _postfix(stack, tmp_path, has_tls="TLS" in kind)
        elif kind.startswith("exim"):
            yield _exim(stack, tmp_path, has_tls="TLS" in kind)
        else:
            yield await _aiosmtpd(stack, has_tls="TLS" in kind)


def _letter(number: int, body: bytes = BODY) -> bytes:
    header = (
        b"From: a@example.com\r\nTo: b@example.org\r\nDate: Wed, 25 Nov 2026 10:00:00 +0000\r\n"
    )
    about = b"Subject: letter %d\r\nMessage-ID: <%d@example.com>\r\n\r\n" % (number, number)
    return header + about + body


async def test_mails_over_one_session_arrive_byte_by_byte(receiver: Receiver) -> None:
    letters = [_letter(number) for number in range(5)]
    outcomes = await receiver.take(
        *[envelope("ann@example.org", message=letter) for letter in letters]
    )
    assert {outcome.verdict for outcome in outcomes} == {Verdict.DELIVERED}
    arrived = await receiver.arrived(5)
    # Receivers put fields of their own in front.
    assert sorted(mail[mail.index(b"From: a@") :] for mail in arrived) == sorted(letters)


async def test_each_recipient_gets_the_verdict_of_the_receiver(receiver: Receiver) -> None:
    addresses = [f"{name}@example.org" for name in ("nobody", "ann", "later", "bob")]
    outcomes = await receiver.take(
        envelope(*addresses[:1], message=_letter(0)), envelope(*addresses, message=_letter(1))
    )
    assert [outcome.verdict for outcome in outcomes] == [
        Verdict.BOUNCED,
        *(Verdict.BOUNCED, Verdict.DELIVERED, Verdict.DEFERRED, Verdict.DELIVERED),
    ]
    codes = [outcome.reply.enhanced for outcome in outcomes if outcome.reply]
    assert codes[:2] == ["5.1.1", "5.1.1"]
    assert codes[3] == "4.7.1"


async def test_eight_bits_and_utf8_arrive_where_they_are_offered(receiver: Receiver) -> None:
    eight_bits = _letter(1, "Grüße\r\n".encode())
    utf8 = _letter(2).replace(b"Subject: letter", "Subject: Grüße".encode())
    outcomes = await receiver.take(
        envelope("ann@example.org", message=eight_bits),
        envelope("jürgen@example.org", message=utf8),
    )
    assert [outcome.verdict for outcome in outcomes] == [Verdict.DELIVERED] * 2
    arrived = await receiver.arrived(2)
    assert all("Grüße".encode() in mail for mail in arrived)
