"""Hosts that flood, break off in odd places or contradict themselves: bounded cost, and never a false verdict."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.events import Category
from tests.fakes.smtp import (
    Action,
    Connection,
    SmtpServer,
    drop,
    half_close,
    hold,
    reply_then_drop,
    reset,
    self_signed,
)
from tests.worker.smtp.parts import SOON, Counting, client, envelope, host, settings
from worker.outcomes.outcome import Verdict
from worker.routing.hosts import Host
from worker.smtp.replies import ReplyReader
from worker.smtp.transcript import Transcript
from worker.smtp.trouble import Trouble

LARGE = (b"x" * 70 + b"\r\n") * 280_000


class Flood:
    """Sends without end, and counts what was sent until the client left."""

    def __init__(self, chunk: bytes) -> None:
        self.sent_bytes = 0
        self._chunk = chunk

    async def __call__(self, connection: Connection) -> None:
        while self.sent_bytes < 200_000_000:
            await connection.send(self._chunk)
            self.sent_bytes += len(self._chunk)


@pytest.mark.parametrize("step", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize(
    "chunk",
    [b"x" * 65536, b"220-x\r\n250-x\r\n" * 4096, b"250 2.0.0 Ok\r\n" * 4096, b"\x00\r\n" * 9999],
)
async def test_a_flood_is_cut_off_long_before_it_ends(
    server: SmtpServer, step: str, chunk: bytes
) -> None:
    flood = Flood(chunk)
    server.act(step, flood)
    async with client() as sender:
        outcome = await sender.outcome(server)
    await server.until(lambda: server.sessions[0].is_closed)
    assert outcome.verdict in {Verdict.UNREACHED, Verdict.DEFERRED, Verdict.DELIVERED}
    assert (outcome.verdict is Verdict.DELIVERED) <= (step == "DOT" and chunk.startswith(b"250 "))
    # What the sockets of both sides hold may be some megabytes.
    assert flood.sent_bytes < 50_000_000


async def test_a_greeting_within_its_time_limit_is_waited_for(server: SmtpServer) -> None:
    late, reached = asyncio.Event(), asyncio.Event()
    server.act("GREETING", hold(late, "220 at last", reached=reached))
    async with client() as sender, asyncio.TaskGroup() as group:
        outcome = group.create_task(sender.outcome(server))
        await reached.wait()
        late.set()
        assert (await outcome).verdict is Verdict.DELIVERED


@pytest.mark.parametrize("step", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_host_that_ends_its_direction_before_the_dot_gives_no_verdict(
    server: SmtpServer, second: SmtpServer, step: str
) -> None:
    server.act(step, half_close)
    async with client() as sender:
        alone = await sender.outcome(server)
        assert (alone.verdict, alone.in_doubt) == (Verdict.UNREACHED, False)
        assert (await sender.outcome([server, second])).verdict is Verdict.DELIVERED


async def test_a_host_that_ends_its_direction_after_the_dot_leaves_doubt(
    server: SmtpServer,
) -> None:
    server.act("DOT", half_close)
    async with client() as sender:
        outcome = await sender.outcome([server, server])
    assert (outcome.verdict, outcome.in_doubt) == (Verdict.DEFERRED, True)
    assert len(server.sessions) == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("action", [drop, reset])
async def test_a_tls_connection_that_breaks_before_the_dot_gives_no_verdict(
    server: SmtpServer, step: str, action: Action
) -> None:
    server.certificate = self_signed()
    server.act(step, action)
    async with client() as sender:
        outcome = await sender.outcome(server)
    assert (outcome.verdict, outcome.in_doubt) == (Verdict.UNREACHED, False)
    assert len(server.sessions) == 1


def in_the_middle(then: Action) -> Action:
    """Take some of the message, then do this."""

    async def action(connection: Connection) -> None:
        await connection.send("354 Go")
        await connection.some()
        await then(connection)

    return action


@pytest.mark.parametrize(
    "then", [drop, reset, half_close, reply_then_drop("421 4.3.2 Shutting down")]
)
async def test_a_connection_that_breaks_in_the_message_gives_no_verdict(
    server: SmtpServer, second: SmtpServer, then: Action
) -> None:
    server.act("DATA", in_the_middle(then))
    async with client() as sender:
        alone = await sender.outcome(server, envelope(message=LARGE))
        assert (alone.verdict, alone.in_doubt) == (Verdict.UNREACHED, False)
        outcome = await sender.outcome([server, second], envelope(message=LARGE))
    assert outcome.verdict is Verdict.DELIVERED


@pytest.mark.parametrize(
    ("reply", "verdict", "category"),
    [
        ("552 5.3.4 Too large", Verdict.BOUNCED, Category.CONTENT),
        ("452 4.3.1 No space", Verdict.DEFERRED, None),
    ],
)
async def test_a_refusal_in_the_middle_of_the_message_is_the_verdict_and_ends_it(
    server: SmtpServer, reply: str, verdict: Verdict, category: Category | None
) -> None:
    async def refuse(connection: Connection) -> None:
        await connection.send(reply)
        await connection.until_gone()

    server.act("DATA", in_the_middle(refuse))
    async with client() as sender:
        outcome = await sender.outcome(server, envelope(message=LARGE))
    assert outcome.verdict is verdict
    assert category is None or outcome.category is category
    assert not server.mails
    assert not server.refused


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("250 5.1.1 Contradicts itself", Verdict.DELIVERED),
        ("259 Unknown, but a success", Verdict.DELIVERED),
        ("552 5.2.2 Over quota", Verdict.BOUNCED),
        ("559 Unknown, but for good", Verdict.BOUNCED),
        ("452 4.3.1 Disk full", Verdict.DEFERRED),
        ("459 2.0.0 Unknown, but for now", Verdict.DEFERRED),
    ],
)
async def test_the_first_digit_of_the_reply_to_the_dot_decides(
    server: SmtpServer, reply: str, verdict: Verdict
) -> None:
    server.reply("DOT", reply)
    async with client() as sender:
        assert (await sender.outcome(server)).verdict is verdict


@pytest.mark.parametrize("reply", ["556 5.1.10 Takes no mail", "521 Never takes mail"])
async def test_a_recipient_of_a_host_that_takes_no_mail_bounces(
    server: SmtpServer, reply: str
) -> None:
    server.reply("RCPT", reply)
    async with client() as sender:
        assert (await sender.outcome(server)).verdict is Verdict.BOUNCED


async def test_a_hundred_recipients_share_one_transaction(server: SmtpServer) -> None:
    addresses = [f"user{number}@x.example" for number in range(100)]
    async with client() as sender:
        await sender.carry(server, envelope(*addresses))
    (mail,) = await server.received(1)
    assert mail.recipients == tuple(addresses)


async def test_more_replies_than_a_window_holds_do_not_block_the_commands(
    pipelining: SmtpServer,
) -> None:
    pipelining.reply("RCPT", b"250-" + b"y" * 8000 + b"\r\n250 Ok\r\n")
    addresses = [f"{'x' * 50}{number}@{'y' * 60}.example" for number in range(4000)]
    async with client() as sender:
        attempted = await sender.carry(pipelining, envelope(*addresses))
    assert {outcome.verdict for outcome in attempted.outcomes} == {Verdict.DELIVERED}


async def test_the_longest_address_fits_into_a_command_line(server: SmtpServer) -> None:
    address = f"{'x' * 64}@{'.'.join(['y' * 60] * 3)}.example"[:254]
    async with client() as sender:
        await sender.carry(server, envelope(address, mail_from=address))
    assert max(map(len, server.sessions[0].commands)) + 2 <= 512


async def test_a_refused_reset_leads_to_a_fresh_session(server: SmtpServer) -> None:
    server.reply("RCPT", "550 5.1.1 No such user", times=1)
    server.reply("RSET", "502 5.5.1 What?")
    async with client() as sender:
        await sender.carry(server)
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED
    assert [mail.session for mail in server.mails] == [2]


@pytest.mark.parametrize(
    "reply", ["452 4.4.5 Maximum number of messages per session exceeded", "421 Too many messages"]
)
async def test_a_kept_session_that_is_told_to_end_moves_its_mail_to_a_fresh_one(
    server: SmtpServer, reply: str
) -> None:
    async with client() as sender:
        await sender.carry(server)
        server.reply("MAIL", reply, when="", times=1)
        attempted = await sender.carry(server)
    assert [outcome.verdict for outcome in attempted.outcomes] == [Verdict.DELIVERED]
    assert [mail.session for mail in server.mails] == [1, 2]


async def test_an_ipv6_address_that_leads_nowhere_is_followed_by_ipv4(server: SmtpServer) -> None:
    with socket.socket(socket.AF_INET6) as full:
        full.bind(("::1", 0))
        full.listen(0)
        fillers = [socket.socket(socket.AF_INET6) for _ in range(2)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        nowhere = Host("mx.example.net", "::1", 10, full.getsockname()[1])
        async with client(settings(connect=SOON)) as sender:
            attempted = await sender.carrier.carry([nowhere, host(server)], envelope(), Counting())
        for filler in fillers:
            filler.close()
    assert attempted.outcomes[0].verdict is Verdict.DELIVERED


@pytest.mark.parametrize("step", ["GREETING", "MAIL", "RCPT", "DOT"])
@pytest.mark.parametrize(
    "reply", ["550 5.7.1 Your address is on our block list", "421 4.7.0 Not you"]
)
async def test_a_sender_whose_ipv6_address_is_refused_comes_by_ipv4(
    server: SmtpServer, step: str, reply: str
) -> None:
    async with SmtpServer("::1") as six, client() as sender:
        six.reply(step, reply)
        assert (await sender.outcome([six, server])).verdict is Verdict.DELIVERED


async def test_what_is_refused_by_ipv6_is_no_bounce_while_ipv4_is_down(server: SmtpServer) -> None:
    await server.stop()
    async with SmtpServer("::1") as six, client() as sender:
        six.reply("RCPT", "550 5.7.1 Your address is on our block list")
        outcome = await sender.outcome([six, server])
    assert outcome.verdict is Verdict.DEFERRED


@pytest.mark.parametrize("reply", ["550 5.1.1 No such user", "554 5.7.1 This message is spam"])
async def test_a_refusal_of_the_mail_itself_is_not_asked_for_again_by_ipv4(
    server: SmtpServer, reply: str
) -> None:
    async with SmtpServer("::1") as six, client() as sender:
        six.reply("DOT", reply)
        assert (await sender.outcome([six, server])).verdict is Verdict.BOUNCED
    assert not server.sessions


def _read(cut: Callable[[bytes], list[bytes]], data: bytes) -> tuple[list[int], bool]:
    reader = ReplyReader(Transcript())
    codes: list[int] = []
    try:
        for piece in cut(data):
            codes.extend(reply.code for reply in reader.feed(piece))
    except Trouble:
        return codes, True
    return codes, False


REPLY_BYTES = st.lists(
    st.sampled_from(
        [
            b"250 Ok\r\n",
            b"502\n",
            b"421 Bye\r\n",
            b"250-a\r\n",
            b"550 5.1.1 No\n",
            b"2",
            b"50",
            b"\r",
            b"\n",
            b"-",
        ]
    )
    | st.binary(max_size=12),
    max_size=30,
).map(b"".join)


@given(data=REPLY_BYTES, step=st.integers(min_value=1, max_value=7))
def test_any_bytes_are_read_alike_however_they_are_cut(data: bytes, step: int) -> None:
    def cut(whole: bytes) -> list[bytes]:
        return [whole[start : start + step] for start in range(0, len(whole), step)]

    assert _read(cut, data) == _read(lambda whole: [whole], data)


@given(
    data=REPLY_BYTES | REPLY_BYTES.map(lambda rest: b"220-x\r\n220 x\r\n" + rest),
    step=st.sampled_from(["GREETING", "EHLO", "STARTTLS", "MAIL", "RCPT"]),
)
@examples(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
async def test_random_bytes_before_the_dot_are_never_a_delivery(data: bytes, step: str) -> None:
    """No 354 is among them, so the message is never asked for; after STARTTLS plain text may do."""
    async with SmtpServer() as server, client() as sender:
        server.extensions.append("STARTTLS")
        server.reply("RCPT", "550 5.1.1 No such user")
        server.act(step, reply_then_drop(data))
        outcome = await sender.outcome(server)
        assert outcome.verdict is not Verdict.DELIVERED
        assert outcome.text or outcome.reply
        assert not server.mails


@given(data=REPLY_BYTES)
@examples(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
async def test_random_bytes_after_the_dot_are_a_delivery_only_if_a_success_comes_first(
    data: bytes,
) -> None:
    async with SmtpServer() as server, client() as sender:
        server.act("DOT", reply_then_drop(data))
        outcome = await sender.outcome([server, server])
        sessions = len(server.sessions)
    first = _read(lambda whole: [whole], data)[0][:1]
    if outcome.verdict is Verdict.DELIVERED:
        assert [code // 100 for code in first] == [2]
    else:
        assert outcome.in_doubt or [code // 100 for code in first] in ([4], [5])
    # Only a host that said 421, and so did not take the mail, is followed by another.
    assert sessions == 1 or first == [421]
