"""What arrived at a real Postfix is what was signed: two foreign verifiers accept both signatures of each mail."""

from __future__ import annotations

import smtplib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.mail.dkim import sign
from app.mail.mime.compose import compose
from app.processes.ports import free_port
from tests.app.mail.finished.mails import finished_mails
from tests.app.mail.letters import LETTER, letters
from tests.app.mail.test_forgeries import BOTH, ED25519, RECORDS, RSA
from tests.app.mail.verifiers import OPENDKIM, verdicts
from tests.fakes import postfix
from tests.fakes.deployment import Deployment, deployed
from tests.fakes.dns import DnsServer
from tests.fakes.postfix import Postfix
from tests.fakes.waiting import eventually, wait_until
from tests.scenarios.test_postfix import make_keys

pytestmark = [
    pytest.mark.skipif(postfix.why_not() is not None, reason=postfix.why_not() or ""),
    pytest.mark.skipif(OPENDKIM is None, reason="opendkim is not installed"),
]

mails = st.one_of(letters.map(lambda letter: compose(letter, "seed")), finished_mails())


class Mailbox:
    """A mailbox behind a real Postfix, which is handed mails over SMTP."""

    def __init__(self, receiver: Postfix, port: int) -> None:
        self._receiver = receiver
        self._port = port

    def passed(self, batch: Sequence[bytes]) -> list[bytes]:
        """Return what was stored of each mail, with line ends as they were on the wire."""
        for path in self._receiver.mails:
            path.unlink()
        with smtplib.SMTP("127.0.0.1", self._port) as session:
            for number, mail in enumerate(batch):
                session.sendmail(
                    "a@example.com", f"{number}@example.org", mail, ["SMTPUTF8", "BODY=8BITMIME"]
                )
        wait_until(lambda: len(self._receiver.mails) == len(batch), self._receiver.log.read_text)
        stored = [stored_at(path) for path in self._receiver.mails]
        return [
            next(each for each in stored if f"Delivered-To: {number}@".encode() in each)
            for number in range(len(batch))
        ]


def stored_at(path: Path) -> bytes:
    """Return a mail of the mailbox. Postfix keeps lines as the system has them."""
    return path.read_bytes().replace(b"\n", b"\r\n")


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    port = free_port()
    # Loopback is no client whose headers Postfix should complete.
    directory = tmp_path_factory.mktemp("postfix")
    with postfix.receiving(
        directory, port, "example.org", local_header_rewrite_clients=""
    ) as receiver:
        yield Mailbox(receiver, port)


@given(st.lists(mails, min_size=5, max_size=10))
@settings(max_examples=8)
def test_whatever_is_signed_arrives_with_both_signatures_valid(
    mailbox: Mailbox, batch: list[bytes]
) -> None:
    signed = [sign(mail, (ED25519, RSA), LETTER.date) for mail in batch]
    arrived = mailbox.passed(signed)
    # Postfix puts fields of its own in front.
    assert [mail.endswith(sent) for mail, sent in zip(arrived, signed, strict=True)] == [
        True
    ] * len(batch)
    assert verdicts(arrived, RECORDS) == [BOTH] * len(batch)


HEAD = b"From: a@%b\r\nTo: ann@example.org\r\n"
RAW = {
    "weird folding": b"Subject:\r\n\tfirst \t\r\n  second\t\tthird  \r\n\r\nHello\r\n",
    "eight bits": "Subject: Grüße\r\n\r\n".encode() + b"\xff \xfe  \r\n",
    "spaces at ends": b"Subject: \t \r\n\r\n\ta \t\r\n\r\n  \r\n\r\n\r\n",
    "no body": b"Subject:\r\n",
    "a huge header": b"Subject: a\r\nReferences:"
    + b"\r\n <0123456789@example.com>" * 1_500
    + b"\r\n",
    "sent again": b"Resent-From: b@example.com\r\nResent-From: a@example.com\r\nSubject: a\r\n\r\nb\r\n",
    "a list": b"List-Id: <news.example.com>\r\nList-Unsubscribe:\r\n <https://example.com/u>\r\n\r\na\r\n",
}
COMPOSED: dict[str, dict[str, object]] = {
    "empty subject and text": {"subject": "", "text": ""},
    "long and strange": {"subject": "größe  " * 60, "text": ".\n..  \n\t\n" + "x " * 900},
    "for a list": {
        "html": "<p>Grüße",
        "headers": {
            "List-Id": "News <news.example.com>",
            "List-Unsubscribe": f"<https://example.com/{'u' * 600}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Feedback-ID": "a:b:c:d",
        },
    },
}


@asynccontextmanager
async def pillarbox_and_postfix(
    directory: Path, dns: DnsServer
) -> AsyncIterator[tuple[Deployment, Postfix, dict[str, str]]]:
    """Run both, the first with keys for example.com."""
    records, port = make_keys(directory / "dkim"), free_port()
    dns.mx("example.org", (10, "mx.example.org"))
    dns.a("mx.example.org", "127.0.0.1")
    keys = {"PILLARBOX_DKIM__DIRECTORY": str(directory / "dkim")}
    with postfix.receiving(directory / "postfix", port, "example.org") as receiver:
        async with deployed(directory, dns, port, settings=keys) as pillarbox:
            yield pillarbox, receiver, records


async def hand_in(pillarbox: Deployment, mail: bytes) -> None:
    """Post a finished mail."""
    url = f"{pillarbox.api_url}/messages/raw?{urlencode({'rcpt_to': 'ann@example.org'})}"
    headers = {"Content-Type": "message/rfc822"}
    async with pillarbox.session.post(url, data=mail, headers=headers) as answer:
        assert answer.status == 202, await answer.text()


@pytest.mark.parametrize("domain", ["example.com", "news.shop.example.com"])
async def test_mail_of_a_domain_and_of_those_below_it_arrives_signed_in_line_with_from(
    tmp_path: Path, dns: DnsServer, domain: str
) -> None:
    async with pillarbox_and_postfix(tmp_path, dns) as (pillarbox, receiver, records):
        for rest in RAW.values():
            await hand_in(pillarbox, HEAD % domain.encode() + rest)
        for fields in COMPOSED.values():
            await pillarbox.send("ann@example.org", **{"from": f"shop@{domain}", **fields})
        count = len(RAW) + len(COMPOSED)

        async def arrived() -> list[Path]:
            return receiver.mails if len(receiver.mails) == count else []

        stored = [stored_at(path) for path in await eventually(arrived)]
    published = {name.rstrip("."): value for name, value in records.items()}
    assert (
        verdicts(stored, published)
        == [
            {
                f"{verifier} {key}"
                for verifier in ("dkimpy", "opendkim")
                for key in ("rsa", "ed25519")
            }
        ]
        * count
    )
    # DMARC, relaxed: d= is the domain of From or above it. Strict where that domain has keys itself.
    assert all(f"@{domain}".encode() in mail for mail in stored)
    assert [mail.count(b"d=example.com;") for mail in stored] == [2] * count
    assert [mail.index(b"a=rsa") < mail.index(b"a=ed25519") for mail in stored] == [True] * count
