"""What stands on the wire: the bytes that were handed in, each command on one line."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.mail.address import AddressError, parse_address
from tests.fakes.smtp import SmtpServer
from tests.worker.smtp.parts import client, envelope
from worker.outcomes.outcome import Verdict

BODIES = [
    b"",
    b".\r\n",
    b"..\r\n",
    b"a\r\n.\r\nb\r\n",
    b"a\r\n..\r\nb\r\n",
    b"a\r\n.\r\n.\r\n",
    b".\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<x@example.org>\r\nDATA\r\n",
    b"a\r\n.b\r\n\r\n.\r\n\r\n",
    b"x" * 65_535 + b"\r\n.\r\n",
    b"x" * 65_534 + b"\r\n.\r\ny\r\n",
    b"x" * 65_533 + b"\r\n.\r\ny\r\n",
    b".png\r\n..png\r\n...png\r\n",
    b"\x00.\r\n\r\n\x00.\r\n",
]


@pytest.mark.parametrize("body", BODIES)
async def test_the_server_gets_the_bytes_that_were_handed_in(
    server: SmtpServer, body: bytes
) -> None:
    async with client() as sender:
        outcome = await sender.outcome(server, envelope(message=body))
    (mail,) = await server.received(1)
    assert outcome.verdict is Verdict.DELIVERED
    assert mail.content == (body or b"\r\n")
    assert not re.search(rb"(?:^|\r\n)\.(?!\.)", mail.wire)
    assert len(server.sessions[0].commands) == 5


async def test_a_message_without_a_last_line_end_gets_one(server: SmtpServer) -> None:
    async with client() as sender:
        await sender.carry(server, envelope(message=b"last words"))
    assert (await server.received(1))[0].content == b"last words\r\n"


@pytest.mark.parametrize("fake_end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n"])
async def test_a_false_end_of_message_gains_a_dot_even_if_line_ends_are_wrong(
    server: SmtpServer, fake_end: bytes
) -> None:
    async with client() as sender:
        await sender.carry(
            server, envelope(message=b"a" + fake_end + b"MAIL FROM:<x@example.org>\r\n")
        )
    (mail,) = await server.received(1)
    assert b"\n.." in mail.wire
    assert fake_end not in mail.wire


@given(st.lists(st.sampled_from([b".", b"..", b"", b"a", b".a", b"\x00", b"a."]), max_size=8))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
async def test_any_lines_arrive_as_they_were(lines: list[bytes]) -> None:
    message = b"".join(line + b"\r\n" for line in lines) or b"\r\n"
    async with SmtpServer() as server, client() as sender:
        await sender.carry(server, envelope(message=message))
        assert (await server.received(1))[0].content == message


async def test_each_command_is_one_line(server: SmtpServer) -> None:
    server.reply("RCPT", "550 5.1.1 No", when="b@", times=1)
    async with client() as sender:
        await sender.carry(server, envelope("a@x.example", "b@x.example", "c@x.example"))
        await sender.carry(server)
    await server.received(2)
    for command in server.sessions[0].commands:
        assert re.fullmatch(r"(?:EHLO|MAIL|RCPT|DATA|RSET|QUIT)(?: [!-~ ]+)?", command)
    assert server.sessions[0].verbs() == [
        *["EHLO", "MAIL", "RCPT", "RCPT", "RCPT", "DATA"],
        *["MAIL", "RCPT", "DATA", "QUIT"],
    ]


_HOSTILE = st.text(
    st.sampled_from('ab.@<>"\\ (),:;%\r\n\0\t=+üa\u0308漢\u2028\u0085\u202e＠א'), max_size=30
)
_INJECTED = st.sampled_from(
    [
        "\r\nRSET\r\n",
        "\n",
        "> SIZE=1",
        " NOTIFY=NEVER",
        "\0",
        "\u2028",
        "<",
        "\x85QUIT",
        "+a",
        "ü",
        "",
    ]
)


@given(st.tuples(_HOSTILE | st.just("ann"), _INJECTED, _HOSTILE | st.just("é")).map("".join))
@example("jürgen")
@example("o'hara+a=b/c")
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
async def test_no_address_that_is_taken_makes_more_or_other_commands(local: str) -> None:
    try:
        address = str(parse_address(f"{local}@example.net"))
    except AddressError:
        return
    sent = replace(envelope(address, "bob@example.net", mail_from=address), id="msg_1")
    async with (
        SmtpServer(extensions=["PIPELINING", "SMTPUTF8", "DSN"]) as server,
        client() as sender,
    ):
        await sender.carry(server, sent)
        await server.received(1)
        (session,) = server.sessions
    assert session.verbs()[:5] == ["EHLO", "MAIL", "RCPT", "RCPT", "DATA"]
    assert all(re.fullmatch(r"[A-Z]+(?: [^\x00-\x1f\x7f]+)?", each) for each in session.commands)
    octets = session.commands[2].encode("latin-1").decode()
    assert octets.startswith(f"RCPT TO:<{address}> NOTIFY=FAILURE ORCPT=")
    assert octets.count(" ") == 3
