"""One mail over one session: what is sent, and what each answer comes to."""

from __future__ import annotations

import asyncio

import pytest

from app.events import Category
from tests.fakes.smtp import (
    Connection,
    SmtpServer,
    hang,
    hold,
)
from tests.worker.smtp.parts import (
    MESSAGE,
    Counting,
    client,
    envelope,
    texts,
)
from worker.outcomes.outcome import Verdict


async def test_a_mail_is_delivered_with_its_envelope_and_bytes(server: SmtpServer) -> None:
    async with client() as sender:
        outcome = await sender.outcome(server)
    (mail,) = await server.received(1)
    assert outcome.verdict is Verdict.DELIVERED
    assert outcome.category is None
    assert outcome.reply is not None
    assert (outcome.reply.code, outcome.reply.enhanced) == (250, "2.0.0")
    assert outcome.peer is not None
    assert (outcome.peer.host, outcome.peer.address) == ("mx.example.net", "127.0.0.1")
    assert (mail.mail_from, mail.recipients) == ("sender@example.org", ("user@example.net",))
    assert mail.content == MESSAGE


async def test_the_size_is_named_where_the_host_wants_it(server: SmtpServer) -> None:
    async with client() as sender:
        await sender.carry(server)
    (mail,) = await server.received(1)
    assert mail.parameters == f"SIZE={len(MESSAGE)}"


async def test_no_parameter_is_sent_that_was_not_offered(server: SmtpServer) -> None:
    server.extensions.clear()
    async with client() as sender:
        await sender.carry(server)
    (mail,) = await server.received(1)
    assert mail.parameters == ""


async def test_a_null_return_path_is_sent_as_such(server: SmtpServer) -> None:
    async with client() as sender:
        await sender.carry(server, envelope(mail_from=""))
    assert (await server.received(1))[0].mail_from == ""
    assert any(line.startswith("MAIL FROM:<>") for line in server.sessions[0].commands)


async def test_a_message_larger_than_the_host_takes_is_not_sent(server: SmtpServer) -> None:
    server.extensions = ["SIZE 1000"]
    async with client() as sender:
        outcome = await sender.outcome(server, envelope(message=b"x" * 1001))
    assert (outcome.verdict, outcome.category) == (Verdict.BOUNCED, Category.CONTENT)
    assert outcome.text.startswith("5.3.4 ")
    assert "MAIL" not in server.sessions[0].verbs()


@pytest.mark.parametrize(
    "offer", ["SIZE -1", "SIZE abc", "SIZE", "SIZE 0", "SIZE 99999999999999999999"]
)
async def test_a_malformed_size_is_no_limit(server: SmtpServer, offer: str) -> None:
    server.extensions = [offer]
    async with client() as sender:
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("550 5.1.1 No such user", Verdict.BOUNCED),
        ("450 4.2.0 Greylisted", Verdict.DEFERRED),
        ("552 5.2.2 Full", Verdict.DEFERRED),
        ("452 4.2.2 Full", Verdict.DEFERRED),
        ("550 2.0.0 Fine, but no", Verdict.BOUNCED),
    ],
)
async def test_a_refused_recipient_gets_the_verdict_of_the_code(
    server: SmtpServer, reply: str, verdict: Verdict
) -> None:
    server.reply("RCPT", reply)
    async with client() as sender:
        outcome = await sender.outcome(server)
    assert outcome.verdict is verdict
    assert outcome.reply is not None
    assert outcome.reply.code == int(reply[:3])
    assert not server.mails


async def test_each_recipient_has_a_verdict_of_its_own(server: SmtpServer) -> None:
    server.reply("RCPT", "550 5.1.1 Unknown user", when="bad@")
    server.reply("RCPT", "450 4.2.0 Later", when="slow@")
    async with client() as sender:
        attempted = await sender.carry(
            server, envelope("bad@a.example", "good@a.example", "slow@a.example")
        )
    verdicts = [outcome.verdict for outcome in attempted.outcomes]
    assert verdicts == [Verdict.BOUNCED, Verdict.DELIVERED, Verdict.DEFERRED]
    assert (await server.received(1))[0].recipients == ("good@a.example",)


@pytest.mark.parametrize("code", [452, 552])
async def test_recipients_too_many_for_one_transaction_get_another(
    server: SmtpServer, code: int
) -> None:
    server.reply("RCPT", f"{code} Too many recipients", when="c@", times=1)
    server.reply("RCPT", f"{code} Too many recipients", when="d@", times=1)
    async with client() as sender:
        attempted = await sender.carry(
            server, envelope("a@x.example", "b@x.example", "c@x.example", "d@x.example")
        )
    assert {outcome.verdict for outcome in attempted.outcomes} == {Verdict.DELIVERED}
    first, further = await server.received(2)
    assert first.recipients == ("a@x.example", "b@x.example")
    assert further.recipients == ("c@x.example", "d@x.example")
    assert first.session == further.session


async def test_a_recipient_that_is_always_one_too_many_is_deferred(server: SmtpServer) -> None:
    server.reply("RCPT", "452 4.5.3 Too many recipients", when="b@")
    async with client() as sender:
        attempted = await sender.carry(server, envelope("a@x.example", "b@x.example"))
    assert [outcome.verdict for outcome in attempted.outcomes] == [
        Verdict.DELIVERED,
        Verdict.DEFERRED,
    ]
    assert len(server.sessions) == 1


async def test_a_stated_limit_of_recipients_is_kept(server: SmtpServer) -> None:
    server.extensions.append("LIMITS RCPTMAX=2 MAILMAX=0")
    async with client() as sender:
        attempted = await sender.carry(
            server, envelope("a@x.example", "b@x.example", "c@x.example")
        )
    assert {outcome.verdict for outcome in attempted.outcomes} == {Verdict.DELIVERED}
    assert [len(mail.recipients) for mail in await server.received(2)] == [2, 1]


async def test_a_refused_sender_bounces_all(server: SmtpServer) -> None:
    server.reply("MAIL", "550 5.7.1 You are blocked")
    async with client() as sender:
        attempted = await sender.carry(server, envelope("a@x.example", "b@x.example"))
        assert [outcome.verdict for outcome in attempted.outcomes] == [Verdict.BOUNCED] * 2
        server.behave()
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED
    assert len(server.sessions) == 1


@pytest.mark.parametrize(
    ("reply", "verdict"), [("554 No", Verdict.BOUNCED), ("451 Not now", Verdict.DEFERRED)]
)
@pytest.mark.parametrize("step", ["DATA", "DOT"])
async def test_a_refused_message_gets_the_verdict_of_the_code(
    server: SmtpServer, step: str, reply: str, verdict: Verdict
) -> None:
    server.reply(step, reply)
    async with client() as sender:
        attempted = await sender.carry(server, envelope("a@x.example", "b@x.example"))
        assert [outcome.verdict for outcome in attempted.outcomes] == [verdict] * 2
        assert not any(outcome.in_doubt for outcome in attempted.outcomes)
        server.behave()
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED


async def test_a_354_with_no_recipient_is_left_with_a_lone_dot(pipelining: SmtpServer) -> None:
    pipelining.reply("RCPT", "550 5.1.1 No such user")
    pipelining.reply("DATA", "354 Go ahead")
    async with client() as sender:
        assert (await sender.outcome(pipelining)).verdict is Verdict.BOUNCED
        pipelining.behave()
        assert (await sender.outcome(pipelining)).verdict is Verdict.DELIVERED
    empty, mail = await pipelining.received(2)
    assert (empty.content, empty.recipients) == (b"", ())
    assert mail.content == MESSAGE


async def test_a_session_goes_on_after_all_recipients_were_refused(server: SmtpServer) -> None:
    server.reply("RCPT", "550 5.1.1 No such user", times=1)
    async with client() as sender:
        await sender.carry(server)
        await sender.carry(server)
    await server.received(1)
    assert "RSET" in server.sessions[0].verbs()
    assert len(server.sessions) == 1


async def test_with_pipelining_all_commands_leave_before_any_answer(pipelining: SmtpServer) -> None:
    asked = asyncio.Event()
    pipelining.act("MAIL", hold(asked, "250 Ok"))
    async with client() as sender, asyncio.TaskGroup() as group:
        carried = group.create_task(sender.outcome(pipelining))
        await pipelining.until(
            lambda: bool(pipelining.sessions) and "MAIL" in pipelining.sessions[0].verbs()
        )
        asked.set()
        assert (await carried).verdict is Verdict.DELIVERED


async def test_the_guard_is_asked_before_anything_is_sent(server: SmtpServer) -> None:
    guard = Counting(times=0)
    async with client() as sender:
        attempted = await sender.carry([server, server], guard=guard)
    assert [outcome.verdict for outcome in attempted.outcomes] == [Verdict.INTERRUPTED]
    assert guard.asked == 1
    assert "MAIL" not in server.sessions[0].verbs()
    assert len(server.sessions) == 1


@pytest.mark.parametrize("size_bytes", [10, 300_000])
async def test_the_guard_is_asked_before_the_final_dot(server: SmtpServer, size_bytes: int) -> None:
    guard = Counting(times=1)
    mail = envelope(message=(b"x" * 70 + b"\r\n") * (size_bytes // 72 + 1))
    async with client() as sender:
        attempted = await sender.carry([server, server], mail, guard)
    await server.until(lambda: server.sessions[0].is_closed)
    assert [outcome.verdict for outcome in attempted.outcomes] == [Verdict.INTERRUPTED]
    assert guard.asked == 2
    assert not server.mails
    assert not server.refused
    assert len(server.sessions) == 1


async def test_a_large_message_arrives_whole(server: SmtpServer) -> None:
    message = b"".join(b"%07d.........\r\n.\r\n" % number for number in range(200_000))
    async with client() as sender:
        outcome = await sender.outcome(server, envelope(message=message))
    assert outcome.verdict is Verdict.DELIVERED
    assert (await server.received(1))[0].content == message


async def test_cancelling_before_the_dot_sends_nothing_more(server: SmtpServer) -> None:
    server.act("RCPT", hang)
    async with client() as sender:
        task = asyncio.create_task(sender.carry(server))
        await server.until(lambda: bool(server.sessions) and "RCPT" in server.sessions[0].verbs())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until(lambda: server.sessions[0].is_closed)
    assert not server.mails


async def test_cancelling_after_the_dot_waits_for_its_reply(server: SmtpServer) -> None:
    decided, asked = asyncio.Event(), asyncio.Event()
    answer = hold(decided, "250 Taken")

    async def note_and_wait(connection: Connection) -> None:
        asked.set()
        await answer(connection)

    server.act("DOT", note_and_wait)
    async with client() as sender:
        task = asyncio.create_task(sender.carry(server))
        await asyncio.wait_for(asked.wait(), 10)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        decided.set()
        attempted = await task
    assert [outcome.verdict for outcome in attempted.outcomes] == [Verdict.DELIVERED]
    assert task.cancelling() == 2


async def test_the_dialogue_shows_all_but_the_message(server: SmtpServer) -> None:
    async with client() as sender:
        attempted = await sender.carry(server)
    sent, heard = texts(attempted, ">"), texts(attempted, "<")
    assert sent[0] == "EHLO client.example.org"
    assert sent[1:] == [
        sent[1],
        "RCPT TO:<user@example.net>",
        "DATA",
        f"[{len(MESSAGE)} bytes of message]",
        ".",
    ]
    assert heard[0] == "220 fake.example ESMTP"
    assert heard[-1] == "250 2.0.0 Taken"
    assert "One line." not in " ".join(sent)
    assert (
        attempted.started_at
        <= attempted.dialogue[0].at
        <= attempted.dialogue[-1].at
        <= attempted.finished_at
    )
