"""Finished mails on the wire: byte for byte what was handed in, but for the changes that are documented.

What should arrive is computed here a second time and in another way, from the bytes that were handed in.
"""

from __future__ import annotations

import re
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8, EmailPolicy, default

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from app.mail.dkim import sign
from app.mail.finished.completing import Missing, complete
from app.mail.finished.reading import read_mail
from tests.app.mail.letters import body_texts, filenames, header_texts
from tests.app.mail.test_dkim import KEYS, NOW, RECORDS
from tests.app.mail.verifiers import dkimpy_accepts
from tests.fakes.smtp import SmtpServer
from tests.worker.smtp.parts import client, envelope

SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck))
STRAY = [
    *[
        b"\n.\n",
        b"\n.\r\n",
        b"\r.\r",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r.\r\n",
        b"\n\r.\r\n",
        b"\r\r.\r\r",
    ],
    *[b"\r\r\n.\r\r\n", b"\r\n.\r\n", b"\r\n..\r\n", b".", b"\n.", b"\r\n.png\r\n"],
]
ATTACK = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nevil\r\n.\r\n"
EIGHT_BIT = EmailPolicy(cte_type="8bit", linesep="\n", max_line_length=998)
SAID = ["EHLO", "MAIL", "RCPT", "DATA"]
POLICIES = [default, SMTP, SMTPUTF8, EIGHT_BIT, SMTP.clone(max_line_length=30)]


def sent(raw: bytes) -> bytes:
    """Return the bytes that are handed to SMTP."""
    return sign(complete(read_mail(raw), Missing(NOW, "0192f0c1@example.com")), KEYS, NOW)


async def arrived(message: bytes) -> bytes:
    """Carry a message over SMTP and return what the receiver has of it."""
    async with SmtpServer() as server, client() as sender:
        server.extensions += ["SMTPUTF8"]
        await sender.carry(server, envelope(message=message))
        (mail,) = await server.received(1)
        # QUIT may have come or not.
        assert server.sessions[0].verbs()[:5] in (SAID, [*SAID, "QUIT"])
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)", mail.wire)
        return mail.content


def parted(raw: bytes) -> tuple[list[bytes], bytes]:
    """Return the fields and the body, with CRLF for each line end."""
    head, _, body = re.sub(rb"\r\n|\r|\n", b"\r\n", raw).partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head.removesuffix(b"\r\n"))
    return fields, body if body.endswith(b"\r\n") or not body else body + b"\r\n"


def unsigned(message: bytes) -> bytes:
    """Take away as many signatures as there are keys."""
    for _ in KEYS:
        match = re.match(rb"DKIM-Signature:.*\r\n(?:[ \t].*\r\n)*", message)
        assert match is not None
        message = message[match.end() :]
    return message


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """Draw a mail as the standard library writes it, in one of its ways."""
    mail = EmailMessage()
    # The standard library takes these for line ends, and refuses them.
    texts = header_texts.map(lambda text: re.sub("[\x85\u2028\u2029\x1c-\x1e]", "?", text))
    mail[draw(st.sampled_from(["From", "FROM", "from"]))] = draw(
        st.sampled_from(
            ["a@example.com", '"A, B <c@d.example>" <a@example.com>', "Jürgen <a@example.com>"]
        )
    )
    mail["Subject"] = draw(texts)
    for name in draw(
        st.lists(st.sampled_from(["Bcc", "bcc", "BCC", "Resent-Bcc"]), unique_by=str.lower)
    ):
        mail[name] = ", ".join(
            draw(st.lists(st.just("secret@example.org"), min_size=1, max_size=12))
        )
    if draw(st.booleans()):
        mail["Date"] = "Mon, 01 Jan 2029 00:00:00 +0100"
        mail["Message-ID"] = "<fixed@example.com>"
    mail["X-Note"] = draw(texts)
    body = draw(body_texts).replace("\0", "")
    encoding = draw(st.sampled_from(["quoted-printable", "base64", "8bit", None]))
    try:
        mail.set_content(body, cte=encoding)
    except ValueError:  # lines that are too long for 8bit
        mail.set_content(body, cte="base64")
    for filename in draw(st.lists(filenames, max_size=2)):
        mail.add_attachment(draw(st.binary(max_size=200)), "a", "b", filename=filename)
    if mail.is_multipart():
        mail.set_boundary("=_fixed")  # else it is a random one
    return mail.as_bytes(policy=draw(st.sampled_from(POLICIES)))


@given(written())
@settings(SLOW, max_examples=60)
async def test_any_mail_arrives_as_it_was_written_and_its_signatures_hold(raw: bytes) -> None:
    fields, body = parted(raw)
    # The standard library folds some subjects into blank lines, which are refused.
    assume(not re.search(rb"(?:^|\r\n)[ \t]+(?:\r\n|$)", b"\r\n".join(fields)))
    assume(max(map(len, re.split(rb"\r\n", b"\r\n".join([*fields, body])))) <= 998)
    kept = [each for each in fields if not re.match(rb"(?i)(?:resent-)?bcc:", each)]
    added = []
    if not re.search(rb"(?im)^date:", b"\n".join(kept)):
        added.append(NOW.strftime("Date: %a, %d %b %Y %H:%M:%S +0000").encode())
        added.append(b"Message-ID: <0192f0c1@example.com>")
    got = await arrived(sent(raw))
    assert unsigned(got) == b"\r\n".join([*added, *kept, b"", body])
    assert b"secret" not in got
    assert [dkimpy_accepts(got, index, RECORDS) for index in (0, 1)] == [True, True]


@pytest.mark.parametrize("stray", STRAY)
async def test_nothing_in_a_finished_mail_ends_it_early(stray: bytes) -> None:
    raw = b"From: a@example.com\r\nSubject: x\r\n\r\nbefore" + stray + ATTACK
    got = await arrived(sent(raw))
    assert unsigned(got).partition(b"\r\n\r\n")[2] == parted(raw)[1]
    assert [dkimpy_accepts(got, index, RECORDS) for index in (0, 1)] == [True, True]


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b" ", b"\xff"])).map(b"".join))
@settings(SLOW, max_examples=60)
async def test_whatever_the_line_ends_one_mail_arrives(body: bytes) -> None:
    raw = b"From: a@example.com\r\n\r\n" + body
    assert unsigned(await arrived(sent(raw))).partition(b"\r\n\r\n")[2] == parted(raw)[1]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
async def test_a_header_cannot_end_the_mail_either(end: bytes) -> None:
    raw = end.join([b"From: a@example.com", b"X-A: b", b" .", b" " + b".", b"", b".", ATTACK])
    got = await arrived(sent(raw))
    assert unsigned(got).endswith(b"X-A: b\r\n .\r\n .\r\n\r\n.\r\n" + ATTACK)


def test_what_is_missing_is_added_in_front_and_what_is_there_stays() -> None:
    missing = Missing(NOW, "new@example.com", is_tls_optional=True)
    bare = b"From: a@example.com\r\nContent-Type: text/plain\r\n\r\n"
    assert complete(read_mail(bare), missing) == (
        NOW.strftime("Date: %a, %d %b %Y %H:%M:%S +0000\r\n").encode()
        + b"Message-ID: <new@example.com>\r\nMIME-Version: 1.0\r\nTLS-Required: No\r\n"
        + bare
    )
    full = (
        b"from: a@example.com\r\nDATE: yesterday\r\nmessage-id: <old@example.com>\r\ntls-required: no\r\n"
        b"mime-version: 1.0\r\ncontent-type: text/plain\r\n\r\n"
    )
    assert complete(read_mail(full), missing) == full
    plain = b"From: a@example.com\r\nDate: x\r\nMessage-ID: <old@example.com>\r\n\r\n"
    assert complete(read_mail(plain), Missing(NOW, "new@example.com")) == plain
