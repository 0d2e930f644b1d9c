"""The catch-all mailbox takes every mail, encrypted or not, and plays the special addresses."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.catchall.certificate import tls_context
from app.catchall.folder import Arrival, MailFolder
from app.catchall.server import receiving
from app.catchall.specials import MEANINGS, Special
from app.mail.reply import parse_reply
from worker.outcomes.classify import Phase, classify
from worker.outcomes.outcome import Verdict

MAIL = b"Subject: hello\r\n\r\n.hidden dot\r\nhello\r\n"


@dataclass
class Mailbox:
    """A running mailbox, and what its callback was told."""

    folder: MailFolder
    port: int = 0
    told: list[Arrival] = field(default_factory=list)

    async def talk(self, dialogue: Callable[[smtplib.SMTP], object]) -> object:
        """Run a dialogue with the mailbox beside the event loop."""

        def session() -> object:
            with smtplib.SMTP("127.0.0.1", self.port, "client.example", timeout=20) as smtp:
                return dialogue(smtp)

        return await asyncio.to_thread(session)

    async def send(self, *recipients: str, content: bytes = MAIL) -> None:
        await self.talk(lambda smtp: smtp.sendmail("hello@example.com", recipients, content))

    async def rcpt(self, address: str) -> tuple[int, bytes]:
        """Return the reply to RCPT TO."""
        replies: list[tuple[int, bytes]] = []

        def ask(smtp: smtplib.SMTP) -> None:
            smtp.ehlo()
            smtp.mail("hello@example.com")
            replies.append(smtp.rcpt(address))

        await self.talk(ask)
        return replies[0]


@pytest.fixture
async def mailbox(tmp_path: Path) -> AsyncIterator[Mailbox]:
    box = Mailbox(MailFolder(tmp_path / "mailbox"))
    box.folder.prepare()
    async with receiving(box.folder, 0, tls_context(tmp_path / "tls"), box.told.append) as box.port:
        yield box


def encrypted(smtp: smtplib.SMTP) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    smtp.starttls(context=context)
    smtp.sendmail("hello@example.com", ["you@example.net"], MAIL)


async def test_a_mail_is_kept_as_it_came_with_its_envelope(mailbox: Mailbox) -> None:
    await mailbox.send("you@example.net", "hidden@example.org")
    (arrival,) = mailbox.folder.newest(10)
    assert arrival.mail_from == "hello@example.com"
    assert arrival.recipients == ("you@example.net", "hidden@example.org")
    assert arrival.ehlo == "client.example"
    assert arrival.tls is None
    assert mailbox.folder.content(arrival) == MAIL
    assert mailbox.told == [arrival]


async def test_a_mail_may_come_encrypted(mailbox: Mailbox) -> None:
    await mailbox.talk(encrypted)
    assert (mailbox.folder.newest(1)[0].tls or "").startswith("TLSv1.3 ")


async def test_the_null_sender_is_taken(mailbox: Mailbox) -> None:
    await mailbox.talk(lambda smtp: smtp.sendmail("", ["you@example.net"], MAIL))
    assert len(mailbox.folder.newest(1)) == 1


async def test_no_authentication_is_offered(mailbox: Mailbox) -> None:
    def extensions(smtp: smtplib.SMTP) -> set[str]:
        smtp.ehlo()
        return set(smtp.esmtp_features)

    offered = await mailbox.talk(extensions)
    assert isinstance(offered, set)
    assert {"starttls", "8bitmime", "smtputf8", "enhancedstatuscodes"} <= offered
    assert "auth" not in offered


@pytest.mark.parametrize(
    ("address", "code", "enhanced"),
    [
        ("bounced@example.net", 550, b"5.1.1"),
        ("BOUNCED+7@example.org", 550, b"5.1.1"),
        ("full@example.net", 554, b"5.2.2"),
        ("deferred@example.net", 451, b"4.7.1"),
        ("rebounced@example.net", 250, b"2.1.5"),
    ],
)
async def test_special_addresses_are_refused_as_they_say(
    mailbox: Mailbox, address: str, code: int, enhanced: bytes
) -> None:
    reply = await mailbox.rcpt(address)
    assert reply[0] == code
    assert reply[1].startswith(enhanced)


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("bounced@example.net", Verdict.BOUNCED),
        ("full@example.net", Verdict.BOUNCED),
        ("deferred@example.net", Verdict.DEFERRED),
    ],
)
async def test_special_addresses_come_to_the_outcome_that_they_are_for(
    mailbox: Mailbox, address: str, verdict: Verdict
) -> None:
    reply = parse_reply([b"%d %b" % await mailbox.rcpt(address)])
    assert classify(reply, Phase.RCPT).verdict is verdict


async def test_a_deferred_address_is_taken_on_the_second_try_and_deferred_again_after_it(
    mailbox: Mailbox,
) -> None:
    codes = [(await mailbox.rcpt("deferred@example.net"))[0] for _ in range(3)]
    assert codes == [451, 250, 451]


async def test_each_deferred_address_counts_for_itself(mailbox: Mailbox) -> None:
    codes = [(await mailbox.rcpt(f"deferred+{n}@example.net"))[0] for n in range(3)]
    assert codes == [451, 451, 451]


async def test_spam_is_refused_after_the_content(mailbox: Mailbox) -> None:
    with pytest.raises(smtplib.SMTPDataError, match=r"554.*5\.7\.1"):
        await mailbox.send("spam@example.net")
    assert mailbox.folder.newest(1) == ()


async def test_a_slow_address_is_taken(mailbox: Mailbox) -> None:
    await mailbox.send("slow@example.net")
    assert mailbox.folder.newest(1)[0].recipients == ("slow@example.net",)


async def test_the_answer_of_an_unknown_address_is_lost_and_comes_the_second_time(
    mailbox: Mailbox,
) -> None:
    with pytest.raises(smtplib.SMTPServerDisconnected):
        await mailbox.send("unknown@example.net")
    # Another mail is sent for the first time too: this one may never come again.
    with pytest.raises(smtplib.SMTPServerDisconnected):
        await mailbox.send("unknown@example.net", content=MAIL + b"Another\r\n")
    await mailbox.send("unknown@example.net")
    assert len(mailbox.folder.newest(9)) == 3


async def test_a_folder_that_takes_no_mail_is_a_temporary_refusal(mailbox: Mailbox) -> None:
    mailbox.folder.directory.rmdir()
    with pytest.raises(smtplib.SMTPDataError, match=r"452.*4\.3\.1"):
        await mailbox.send("you@example.net")


def test_every_special_address_is_explained() -> None:
    assert set(MEANINGS) == set(Special)


def test_the_certificate_is_made_once_and_private(tmp_path: Path) -> None:
    tls_context(tmp_path / "tls")
    before = (tmp_path / "tls" / "certificate.pem").read_bytes()
    tls_context(tmp_path / "tls")
    assert (tmp_path / "tls" / "certificate.pem").read_bytes() == before
    assert (tmp_path / "tls" / "certificate.pem").stat().st_mode & 0o077 == 0
