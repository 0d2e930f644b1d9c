"""What a hostile host can make of us: time, memory, descriptors and wrong verdicts stay within bounds."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from app.events import Category
from app.settings.delivering import SmtpTimeouts
from tests.fakes.smtp import Action, Connection, SmtpServer, hold
from tests.worker.smtp.parts import SOON, client, envelope, settings
from worker.outcomes.outcome import Outcome, Verdict


def test_no_time_limit_is_shorter_than_rfc_5321_asks() -> None:
    minutes = {"greeting": 5, "ehlo": 5, "mail": 5, "rcpt": 5, "data": 2, "block": 3, "dot": 10}
    for step, least in minutes.items():
        assert getattr(SmtpTimeouts(), step) >= timedelta(minutes=least)


async def test_what_a_host_floods_the_dialogue_with_is_cut_off(server: SmtpServer) -> None:
    for step, code in (("GREETING", b"220"), ("MAIL", b"250"), ("RCPT", b"250"), ("DOT", b"250")):
        server.act(step, _flood(code))
    async with client() as sender:
        attempted = await sender.carry(server)
    assert attempted.outcomes[0].verdict is Verdict.DELIVERED
    assert sum(len(line.text.encode()) for line in attempted.dialogue) <= 16 * 1024


async def test_many_slow_steps_together_are_given_up(
    server: SmtpServer, second: SmtpServer
) -> None:
    server.act("RCPT", _slowly)
    async with client(settings(attempt=SOON)) as sender:
        attempted = await sender.carry([server, second], envelope(*_many(50)))
    assert {outcome.verdict for outcome in attempted.outcomes} == {Verdict.UNREACHED}
    assert "too slow" in attempted.outcomes[-1].text
    assert not server.mails
    assert not second.sessions


async def test_the_reply_to_the_final_dot_has_its_own_time(server: SmtpServer) -> None:
    server.act("DOT", partial(_slowly, seconds=1.5))
    async with client(settings(attempt=timedelta(seconds=1))) as sender:
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED


async def test_of_too_many_slow_attempts_the_youngest_makes_room(server: SmtpServer) -> None:
    go_on, chosen = asyncio.Event(), settings().model_copy(update={"drain_time": timedelta(0)})
    server.act("RCPT", hold(go_on, "250 2.1.5 Ok"))
    async with client(chosen) as sender, asyncio.TaskGroup() as group:
        carried: list[asyncio.Task[Outcome]] = []
        for number in range(4):
            carried.append(group.create_task(sender.outcome(server)))
            await server.until(partial(_has_asked_for, server, number + 1))
        for _ in range(5):
            sender.carrier.make_room(keep=3)
        assert "too slow" in (await carried.pop()).text
        go_on.set()
        assert {(await each).verdict for each in carried} == {Verdict.DELIVERED}


async def test_attempts_that_are_not_slow_yet_make_no_room(server: SmtpServer) -> None:
    go_on = asyncio.Event()
    server.act("RCPT", hold(go_on, "250 2.1.5 Ok"))
    async with client() as sender, asyncio.TaskGroup() as group:
        carried = group.create_task(sender.outcome(server))
        await server.until(partial(_has_asked_for, server, 1))
        sender.carrier.make_room(keep=0)
        go_on.set()
        assert (await carried).verdict is Verdict.DELIVERED


async def test_an_attempt_that_makes_room_after_its_dot_still_hears_the_reply(
    server: SmtpServer,
) -> None:
    go_on, reached = asyncio.Event(), asyncio.Event()
    chosen = settings().model_copy(update={"drain_time": timedelta(0)})
    server.act("DOT", hold(go_on, "250 2.0.0 Taken", reached=reached))
    async with client(chosen) as sender, asyncio.TaskGroup() as group:
        carried = group.create_task(sender.outcome(server))
        await reached.wait()
        sender.carrier.make_room(keep=0)
        sender.carrier.make_room(keep=0)
        go_on.set()
        assert (await carried).verdict is Verdict.DELIVERED


async def test_a_reply_too_many_to_one_mail_is_no_verdict_on_the_next(
    pipelining: SmtpServer,
) -> None:
    async with client() as sender:
        await sender.carry(pipelining)
        # It comes after the session was kept, and so early that it looks like the answer to MAIL.
        pipelining.reply("MAIL", b"550 5.7.1 Stray\r\n250 2.1.0 Ok\r\n", times=1)
        outcome = await sender.outcome(pipelining)
    assert outcome.verdict is Verdict.DELIVERED
    assert len(pipelining.sessions) == 2


async def test_verdicts_among_replies_that_are_one_too_many_do_not_count(
    pipelining: SmtpServer,
) -> None:
    pipelining.reply("MAIL", b"250 2.1.0 Ok\r\n550 5.7.1 Stray\r\n")
    async with client() as sender:
        attempted = await sender.carry(pipelining, envelope("a@a.example", "b@a.example"))
    assert [outcome.verdict for outcome in attempted.outcomes] == [Verdict.UNREACHED] * 2


async def test_without_free_descriptors_nothing_is_said_of_the_recipient(
    server: SmtpServer,
) -> None:
    async with client() as sender:
        with _no_free_descriptors():
            outcome = await sender.outcome(server)
    assert (outcome.verdict, outcome.category) == (Verdict.UNREACHED, Category.LOCAL)


async def test_a_lack_of_descriptors_does_not_count_against_the_host(
    server: SmtpServer, second: SmtpServer
) -> None:
    async with client() as sender:
        with _no_free_descriptors():
            await sender.carry(server)
        await sender.carry([server, second])
    assert (len(server.mails), len(second.mails)) == (1, 0)


def _has_asked_for(server: SmtpServer, count: int) -> bool:
    return sum("RCPT" in session.verbs() for session in server.sessions) == count


def _many(count: int) -> list[str]:
    return [f"user{number}@a.example" for number in range(count)]


async def _slowly(connection: Connection, seconds: float = 0.1) -> None:
    await asyncio.sleep(seconds)
    await connection.send("250 2.0.0 Ok")


def _flood(code: bytes) -> Action:
    """Say a lot before the reply proper."""
    line = code + b"-" + b"x" * 900 + b"\r\n"

    async def action(connection: Connection) -> None:
        await connection.send(line * 20 + code + b" Ok\r\n")

    return action


@contextmanager
def _no_free_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
