"""An attempt over several hosts, and over kept sessions."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from app.events import Category
from tests.fakes.smtp import (
    Action,
    Connection,
    SmtpServer,
    drop,
    hold,
    reply_then_drop,
    reset,
    smtp_servers,
)
from tests.worker.smtp.parts import Counting, client, envelope, host, settings, texts
from worker.outcomes.outcome import Verdict
from worker.routing.hosts import Host
from worker.smtp.envelope import Envelope


async def test_the_first_host_gets_the_mail(server: SmtpServer, second: SmtpServer) -> None:
    async with client() as sender:
        await sender.carry([server, second])
    assert len(server.mails) == 1
    assert not second.sessions


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
async def test_a_host_that_hangs_up_before_the_dot_is_followed_by_the_next(
    server: SmtpServer, second: SmtpServer, step: str
) -> None:
    server.act(step, drop)
    async with client() as sender:
        attempted = await sender.carry([server, second])
    (outcome,) = attempted.outcomes
    assert outcome.verdict is Verdict.DELIVERED
    assert outcome.peer is not None
    assert outcome.peer.address == "127.0.0.2"
    assert len(second.mails) == 1


async def test_a_sender_refused_for_now_is_tried_at_the_next_host(
    server: SmtpServer, second: SmtpServer
) -> None:
    server.reply("MAIL", "451 4.7.1 Greylisted")
    async with client() as sender:
        assert (await sender.outcome([server, second])).verdict is Verdict.DELIVERED


async def test_what_a_host_said_is_not_undone_by_one_that_says_nothing(
    server: SmtpServer, second: SmtpServer
) -> None:
    server.reply("MAIL", "451 4.7.1 Greylisted")
    await second.stop()
    async with client() as sender:
        outcome = await sender.outcome([server, second])
    assert outcome.verdict is Verdict.DEFERRED
    assert outcome.reply is not None
    assert outcome.reply.enhanced == "4.7.1"


@pytest.mark.parametrize("step", ["RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("reply", ["550 5.7.1 No", "450 4.2.0 Later"])
async def test_a_verdict_on_the_recipient_ends_the_attempt(
    server: SmtpServer, second: SmtpServer, step: str, reply: str
) -> None:
    server.reply(step, reply)
    async with client() as sender:
        outcome = await sender.outcome([server, second])
    assert outcome.verdict in {Verdict.BOUNCED, Verdict.DEFERRED}
    assert not second.sessions


async def test_only_recipients_without_a_verdict_go_to_the_next_host(
    server: SmtpServer, second: SmtpServer
) -> None:
    server.reply("RCPT", "550 5.1.1 No such user", when="a@")
    server.act("RCPT", reply_then_drop("421 Busy"), when="b@")
    async with client() as sender:
        attempted = await sender.carry([server, second], envelope("a@x.example", "b@x.example"))
    assert [outcome.verdict for outcome in attempted.outcomes] == [
        Verdict.BOUNCED,
        Verdict.DELIVERED,
    ]
    assert [mail.recipients for mail in second.mails] == [("b@x.example",)]


async def test_no_more_sessions_are_opened_than_the_settings_say() -> None:
    async with smtp_servers("127.0.0.2", "127.0.0.3", "127.0.0.4") as servers, client() as sender:
        for each in servers:
            each.act("RCPT", drop)
        outcome = await sender.outcome(servers)
        assert outcome.verdict is Verdict.UNREACHED
        assert [len(each.sessions) for each in servers] == [1, 1, 0]


async def test_no_more_addresses_are_tried_than_the_settings_say(second: SmtpServer) -> None:
    await second.stop()
    dead = [Host("mx.example.net", "127.0.0.2", 10, second.port)] * 5
    async with SmtpServer() as server, client() as sender:
        attempted = await sender.carrier.carry([*dead, host(server)], envelope(), Counting())
        assert attempted.outcomes[0].verdict is Verdict.UNREACHED
        attempted = await sender.carrier.carry([*dead[1:], host(server)], envelope(), Counting())
        assert attempted.outcomes[0].verdict is Verdict.DELIVERED


async def test_without_hosts_nothing_is_tried() -> None:
    async with client() as sender:
        attempted = await sender.carry([])
    assert attempted.outcomes[0].verdict is Verdict.INTERRUPTED


async def test_the_dialogue_shows_every_host(server: SmtpServer, second: SmtpServer) -> None:
    server.reply("GREETING", "554 5.7.1 Not you")
    second.reply("RCPT", "550 5.1.1 No such user")
    async with client() as sender:
        heard = texts(await sender.carry([server, second]), "<")
    assert "554 5.7.1 Not you" in heard
    assert "550 5.1.1 No such user" in heard


async def test_a_session_is_kept_for_the_next_mail(server: SmtpServer) -> None:
    async with client() as sender:
        for _ in range(3):
            await sender.carry(server)
    assert [mail.session for mail in server.mails] == [1, 1, 1]
    assert "RSET" not in server.sessions[0].verbs()


async def test_mails_at_the_same_time_use_sessions_of_their_own(server: SmtpServer) -> None:
    async with client() as sender:
        await asyncio.gather(*[sender.carry(server) for _ in range(3)])
        await asyncio.gather(*[sender.carry(server) for _ in range(3)])
    assert len(server.sessions) == 3
    assert len(server.mails) == 6


async def test_a_session_is_not_kept_for_another_name_of_the_same_address(
    server: SmtpServer,
) -> None:
    async with client() as sender:
        for name in ("a.example", "b.example"):
            await sender.carrier.carry([host(server, name)], envelope(), Counting())
    assert len(server.sessions) == 2


async def test_a_session_carries_no_more_mails_than_the_settings_say(server: SmtpServer) -> None:
    chosen = settings().model_copy(update={"connection_mails": 2})
    async with client(chosen) as sender:
        for _ in range(3):
            await sender.carry(server)
    assert [mail.session for mail in server.mails] == [1, 1, 2]
    assert server.sessions[0].verbs()[-1] == "QUIT"


async def test_a_session_carries_no_more_mails_than_the_profile_of_its_host_says(
    server: SmtpServer, tmp_path: Path
) -> None:
    profiles = tmp_path / "sites.toml"
    profiles.write_text('[narrow]\nexchangers = ["narrow.example"]\nmails = 2\n')
    chosen = settings().model_copy(update={"profiles_file": profiles})
    async with client(chosen) as sender:
        for name in ("mx.narrow.example", "mx.wide.example") * 3:
            await sender.carrier.carry([host(server, name)], envelope(), Counting())
    assert [mail.session for mail in server.mails] == [1, 2, 1, 2, 3, 2]


async def test_a_stated_limit_of_mails_is_kept(server: SmtpServer) -> None:
    server.extensions.append("LIMITS MAILMAX=1")
    async with client() as sender:
        for _ in range(2):
            await sender.carry(server)
    assert [mail.session for mail in server.mails] == [1, 2]


async def test_an_unused_session_is_ended_with_quit(server: SmtpServer) -> None:
    chosen = settings().model_copy(update={"connection_idle": timedelta(seconds=0.05)})
    async with client(chosen) as sender:
        await sender.carry(server)
        await server.until(lambda: server.sessions[0].is_closed)
        assert server.sessions[0].verbs()[-1] == "QUIT"
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED


async def test_quit_is_not_waited_for_long(server: SmtpServer) -> None:
    async def ignore(connection: Connection) -> None:
        await connection.until_gone()

    server.act("QUIT", ignore)
    async with client(settings(quit=timedelta(seconds=0.05))) as sender:
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED
    await server.until(lambda: server.sessions[0].is_closed)


@pytest.mark.parametrize(
    "action",
    [
        drop,
        reset,
        reply_then_drop("421 4.4.2 Idle for too long"),
        reply_then_drop("451 4.4.5 Enough mails"),
    ],
)
async def test_a_kept_session_that_had_enough_is_replaced(
    server: SmtpServer, second: SmtpServer, action: Action
) -> None:
    chosen = settings().model_copy(update={"sessions_per_attempt": 1})
    async with client(chosen) as sender:
        await sender.carry(server)
        server.act("MAIL", action, times=1)
        assert (await sender.outcome([server, second])).verdict is Verdict.DELIVERED
    assert [mail.session for mail in server.mails] == [1, 2]
    assert not second.sessions


async def test_a_kept_session_that_was_closed_meanwhile_is_not_used(server: SmtpServer) -> None:
    closing = asyncio.Event()

    async def close_later(connection: Connection) -> None:
        await connection.send("250 2.0.0 Taken")
        await closing.wait()
        await connection.send("421 4.4.2 Idle")
        connection.close()

    server.act("DOT", close_later, times=1)
    async with client() as sender:
        await sender.carry(server)
        closing.set()
        await server.until(lambda: server.sessions[0].is_closed)
        attempted = await sender.carry(server)
    assert attempted.outcomes[0].verdict is Verdict.DELIVERED
    assert texts(attempted, "<")[0].startswith("220")


async def test_a_fresh_session_that_fails_is_not_replaced(server: SmtpServer) -> None:
    server.act("MAIL", drop)
    async with client() as sender:
        await sender.carry(server)
    assert len(server.sessions) == 1


async def test_what_a_kept_session_left_in_doubt_is_not_sent_again(server: SmtpServer) -> None:
    async with client() as sender:
        await sender.carry(server)
        server.act("DOT", drop)
        outcome = await sender.outcome([server, server])
    assert outcome.in_doubt
    assert len(server.sessions) == 1


async def test_closing_the_pool_ends_every_kept_session(server: SmtpServer) -> None:
    async with client() as sender:
        await asyncio.gather(*[sender.carry(server) for _ in range(3)])
    await server.until(lambda: all(session.is_closed for session in server.sessions))
    assert [session.verbs()[-1] for session in server.sessions] == ["QUIT"] * 3


async def test_a_cancelled_mail_takes_its_session_along(server: SmtpServer) -> None:
    async with client() as sender:
        await sender.carry(server)
        server.act("RCPT", hold(asyncio.Event()), times=1)
        task = asyncio.create_task(sender.carry(server))
        await server.until(lambda: server.sessions[0].verbs().count("RCPT") == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED
    assert [mail.session for mail in server.mails] == [1, 2]


async def test_a_cancelled_attempt_opens_no_further_session_after_the_dot(
    server: SmtpServer, second: SmtpServer
) -> None:
    decided, asked = asyncio.Event(), asyncio.Event()
    server.reply("RCPT", "452 4.5.3 Too many", when="b@", times=1)

    async def refuse_slowly(connection: Connection) -> None:
        asked.set()
        await decided.wait()
        await connection.send("250 Taken")

    server.act("DOT", refuse_slowly)
    async with client() as sender:
        task = asyncio.create_task(
            sender.carry([server, second], envelope("a@x.example", "b@x.example"))
        )
        await asyncio.wait_for(asked.wait(), 10)
        task.cancel()
        decided.set()
        attempted = await task
    assert [outcome.verdict for outcome in attempted.outcomes] == [
        Verdict.DELIVERED,
        Verdict.DEFERRED,
    ]
    assert len(server.mails) == 1
    assert not second.sessions


@pytest.mark.parametrize(
    "address",
    [
        "a\r\nRSET@x.example",
        "a>b@x.example",
        "a b@x.example",
        "a\u2028b@x.example",
        "a\x00@x",
        "\ud800@x",
    ],
)
def test_an_address_that_would_break_a_command_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="SMTP command"):
        Envelope("a@example.org", (address,), b"")
    with pytest.raises(ValueError, match="SMTP command"):
        Envelope(address, ("a@example.org",), b"")


async def test_trouble_of_a_host_names_its_kind(server: SmtpServer) -> None:
    server.reply("GREETING", "554 5.7.1 You are on a block list")
    async with client() as sender:
        outcome = await sender.outcome(server)
    assert (outcome.verdict, outcome.category) == (Verdict.UNREACHED, Category.REPUTATION)
    assert outcome.reply is not None
    assert outcome.reply.code == 554


async def test_a_refused_ipv6_address_without_name_is_no_verdict_if_ipv4_does(
    server: SmtpServer,
) -> None:
    async with SmtpServer("::1") as six, client() as sender:
        six.reply("DOT", "550 5.7.25 The sending address has no PTR record")
        assert (await sender.outcome([six, server])).verdict is Verdict.DELIVERED
        alone = await sender.outcome(six)
    assert (alone.verdict, alone.category) == (Verdict.BOUNCED, Category.AUTHENTICATION)


async def test_a_host_that_wants_the_same_mail_again_and_again_is_left() -> None:
    async with SmtpServer("::1") as six, client() as sender:
        six.reply("RCPT", "452 4.5.3 Too many recipients", when="bob")
        six.reply("DOT", "550 5.7.25 The sending address has no PTR record")
        attempted = await sender.carry(six, envelope("ann@example.net", "bob@example.net"))
    assert [each.verdict for each in attempted.outcomes] == [Verdict.BOUNCED, Verdict.DEFERRED]
    assert len(six.refused) <= 2


async def test_the_host_that_said_why_is_the_one_that_is_told_of(
    server: SmtpServer, second: SmtpServer
) -> None:
    server.reply("GREETING", "554 5.7.1 You are on a block list")
    await second.stop()
    async with client() as sender:
        outcome = await sender.outcome([server, second])
    assert outcome.reply is not None
    assert outcome.category is Category.REPUTATION


async def test_the_session_unused_for_longest_makes_room_when_too_many_are_kept(
    pipelining: SmtpServer,
) -> None:
    few = settings().model_copy(update={"connections_kept": 3})
    async with client(few) as sender:
        for number in range(4):
            way = host(pipelining, f"mx{number}.example")
            await sender.carrier.carry([way], envelope(), Counting())
        await pipelining.until(lambda: pipelining.sessions[0].is_closed)
        assert not any(session.is_closed for session in pipelining.sessions[1:])


async def test_a_host_that_could_not_be_connected_to_is_tried_last_for_a_while(
    server: SmtpServer, second: SmtpServer
) -> None:
    await server.stop()
    async with client() as sender:
        await sender.carry([server, second])
        async with SmtpServer(server.host, server.port) as back:
            await sender.carry([server, second])
            assert not back.sessions
    assert len(second.mails) == 2
