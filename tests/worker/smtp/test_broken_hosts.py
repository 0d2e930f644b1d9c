"""Hosts that break off, stall, flood or answer out of place: nothing is lost, nothing sent twice."""

from __future__ import annotations

import asyncio

import pytest

from app.events import Category
from tests.fakes.smtp import (
    Action,
    Connection,
    SmtpServer,
    drop,
    hang,
    reply_then_drop,
    reset,
)
from tests.worker.smtp.parts import (
    SOON,
    client,
    envelope,
    settings,
    texts,
)
from worker.outcomes.outcome import Verdict


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("action", [drop, reset, reply_then_drop(b"25")])
async def test_a_connection_lost_before_the_dot_gives_no_verdict(
    server: SmtpServer, step: str, action: Action
) -> None:
    server.act(step, action)
    async with client() as sender:
        outcome = await sender.outcome(server)
    assert (outcome.verdict, outcome.category) == (Verdict.UNREACHED, Category.NETWORK)
    assert not outcome.in_doubt
    assert outcome.text


@pytest.mark.parametrize(
    "action", [drop, reset, reply_then_drop(b"250"), reply_then_drop("250-so far")]
)
async def test_a_connection_lost_after_the_dot_leaves_doubt(
    server: SmtpServer, action: Action
) -> None:
    server.act("DOT", action)
    async with client() as sender:
        outcome = await sender.outcome([server, server])
    assert (outcome.verdict, outcome.in_doubt) == (Verdict.DEFERRED, True)
    assert outcome.reply is None
    assert len(server.sessions) == 1  # what may have been taken is not offered again


@pytest.mark.parametrize(
    "reply",
    [
        b"2500 Ok\r\n",
        b"25 Ok\r\n",
        b"999 Ok\r\n",
        b"Ok\r\n",
        b"250-Ok\r\n550 No\r\n",
        b"354 More\r\n",
    ],
)
async def test_nonsense_after_the_dot_is_never_a_delivery(server: SmtpServer, reply: bytes) -> None:
    server.reply("DOT", reply)
    async with client() as sender:
        outcome = await sender.outcome([server, server])
    assert (outcome.verdict, outcome.in_doubt) == (Verdict.DEFERRED, True)
    assert len(server.sessions) == 1


async def test_a_reply_to_the_dot_that_does_not_come_leaves_doubt(server: SmtpServer) -> None:
    server.act("DOT", hang)
    async with client(settings(dot=SOON)) as sender:
        outcome = await sender.outcome(server)
    assert (outcome.verdict, outcome.in_doubt) == (Verdict.DEFERRED, True)


@pytest.mark.parametrize("step", ["mail", "rcpt", "data"])
async def test_each_command_has_a_time_limit_of_its_own(server: SmtpServer, step: str) -> None:
    server.act(step.upper(), hang)
    async with client(settings(**{step: SOON})) as sender:
        outcome = await sender.outcome(server)
    assert (outcome.verdict, outcome.category) == (Verdict.UNREACHED, Category.NETWORK)


async def test_an_accepted_mail_stays_delivered_when_the_server_then_closes(
    server: SmtpServer,
) -> None:
    server.act("DOT", reply_then_drop("250 2.0.0 Taken"))
    async with client() as sender:
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED


async def test_an_accepted_mail_stays_delivered_when_the_server_announces_its_end(
    server: SmtpServer,
) -> None:
    server.reply("DOT", b"250 Taken\r\n421 Enough for today\r\n")
    async with client() as sender:
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED
    assert len(server.sessions) == 2


async def test_two_answers_to_the_dot_that_differ_leave_doubt(server: SmtpServer) -> None:
    server.reply("DOT", b"250 Taken\r\n550 Not taken\r\n")
    async with client() as sender:
        outcome = await sender.outcome(server)
    assert (outcome.verdict, outcome.in_doubt) == (Verdict.DEFERRED, True)


@pytest.mark.parametrize("reply", ["550 5.7.1 Go away", "451 4.7.1 Later"])
async def test_a_refusal_sent_with_the_354_is_the_verdict(server: SmtpServer, reply: str) -> None:
    server.reply("DATA", f"354 Go\r\n{reply}\r\n".encode())
    async with client() as sender:
        outcome = await sender.outcome(server)
    assert outcome.verdict in {Verdict.BOUNCED, Verdict.DEFERRED}
    assert outcome.reply is not None
    assert outcome.reply.code == int(reply[:3])
    assert not outcome.in_doubt


async def test_a_250_before_the_dot_is_not_taken_for_its_reply(server: SmtpServer) -> None:
    server.reply("DATA", b"354 Go\r\n250 Ok\r\n")
    async with client() as sender:
        outcome = await sender.outcome(server)
    assert (outcome.verdict, outcome.category) == (Verdict.UNREACHED, Category.PROTOCOL)
    assert not server.mails


@pytest.mark.parametrize(
    ("step", "reply"),
    [
        ("MAIL", b"354 Go\r\n"),
        ("MAIL", b"250 a\r\n250 b\r\n"),
        ("MAIL", b"2200 Ok\r\n"),
        ("MAIL", b"000 Ok\r\n"),
        ("MAIL", b"-12 Ok\r\n"),
        ("MAIL", b"199 Ok\r\n"),
        ("RCPT", b"354 Go\r\n"),
        ("RCPT", b"250-a\r\n251 b\r\n"),
        ("DATA", b"250 Ok\r\n"),
        ("DATA", b"250-354 Go\r\n354 Go\r\n"),
        ("DATA", b"354 Go\r\n354"),
    ],
)
async def test_a_reply_out_of_place_ends_the_session_without_a_verdict(
    server: SmtpServer, step: str, reply: bytes
) -> None:
    server.reply(step, reply)
    async with client() as sender:
        outcome = await sender.outcome(server)
    await server.until(lambda: server.sessions[0].is_closed)
    assert (outcome.verdict, outcome.category) == (Verdict.UNREACHED, Category.PROTOCOL)
    assert not server.mails
    assert not server.refused


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_421_closes_the_session_without_a_verdict(server: SmtpServer, step: str) -> None:
    server.reply(step, "421 4.7.0 Too many messages in this session")
    async with client() as sender:
        outcome = await sender.outcome(server)
    await server.until(lambda: server.sessions[0].is_closed)
    assert outcome.verdict is Verdict.UNREACHED
    assert outcome.reply is not None
    assert outcome.reply.code == 421


async def test_a_refusal_under_pipelining_stands_though_the_server_hangs_up(
    pipelining: SmtpServer,
) -> None:
    pipelining.act("MAIL", reply_then_drop("550 5.7.1 Listed in our block list"))
    async with client() as sender:
        outcome = await sender.outcome(pipelining)
    assert (outcome.verdict, outcome.category) == (Verdict.BOUNCED, Category.REPUTATION)


async def test_a_server_that_takes_no_more_of_the_message_is_left(server: SmtpServer) -> None:
    async def stop(connection: Connection) -> None:
        await connection.send("354 Go")
        connection.stop_reading()
        await asyncio.Event().wait()

    server.act("DATA", stop)
    async with client(settings(block=SOON)) as sender:
        outcome = await sender.outcome(server, envelope(message=b"x" * 20_000_000))
    assert (outcome.verdict, outcome.in_doubt) == (Verdict.UNREACHED, False)
    assert "stopped taking" in outcome.text


async def test_a_reply_with_wild_bytes_is_made_fit_to_store(server: SmtpServer) -> None:
    server.reply("RCPT", b'550 <b>\x1b[31m\xff\xe2\x80\xa8\x00\r\\"' + b"\xc3\xa9" * 3000 + b"\r\n")
    async with client() as sender:
        attempted = await sender.carry(server)
    for text in [
        *texts(attempted, "<"),
        attempted.outcomes[0].reply.text if attempted.outcomes[0].reply else "",
    ]:
        assert len(text.encode()) <= 1024
        assert text.isprintable()


@pytest.mark.parametrize(
    "flood", [b"x" * 9000, b"550-x\r\n" * 10_000, b"550-" + b"y" * 9000 + b"\r\n550 z\r\n"]
)
async def test_a_reply_without_end_is_cut_off(server: SmtpServer, flood: bytes) -> None:
    server.reply("RCPT", flood)
    async with client() as sender:
        attempted = await sender.carry(server)
    (outcome,) = attempted.outcomes
    assert (outcome.verdict, outcome.category) == (Verdict.UNREACHED, Category.PROTOCOL)
    assert len(attempted.dialogue) <= 200


async def test_a_bare_line_feed_ends_a_line_of_a_reply(server: SmtpServer) -> None:
    server.reply("MAIL", b"250-2.1.0 Ok\n250 2.1.0 Ok\n")
    async with client() as sender:
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED


async def test_a_reply_that_drips_in_is_given_up(server: SmtpServer) -> None:
    async def drip(connection: Connection) -> None:
        while True:
            await connection.send(b"2")
            await asyncio.sleep(0.02)

    server.act("RCPT", drip)
    async with client(settings(rcpt=SOON)) as sender:
        assert (await sender.outcome(server)).verdict is Verdict.UNREACHED
