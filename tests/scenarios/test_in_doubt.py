"""What becomes of a message when the reply to its final dot is lost, and it asked not to come twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fakes.deployment import delivery, deployed, ledger
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer, drop, halt, hold


async def test_a_lost_reply_ends_a_message_that_may_not_come_twice_as_unknown(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.act("DOT", drop, times=2)
        held = await pillarbox.send("ann@example.org", on_unknown="hold")
        assert await pillarbox.settled(held) == {"ann@example.org": "unknown"}
        retried = await pillarbox.send("ann@example.org", on_unknown="retry")
        assert await pillarbox.settled(retried) == {"ann@example.org": "delivered"}
        assert await pillarbox.told(held) == ["queued", "unknown"]
        found = delivery((await pillarbox.events(held))[-1])
        assert (found["in_doubt"], found["final"], found["next_attempt_at"]) == (True, True, None)
        assert [each["recipients"] for each in await pillarbox.attempts(held)] != []
        assert ledger([*server.mails, *server.refused]) == {held: 1, retried: 2}


@pytest.mark.parametrize("size", [100, 200_000])
@pytest.mark.parametrize("step", ["EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_worker_lost_before_the_dot_leaves_no_doubt_and_the_message_is_sent(
    tmp_path: Path, dns: DnsServer, step: str, size: int
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        at_step = asyncio.Event()
        server.act(step, halt(at_step), times=1)
        text = "Hello!\n" * (size // 7)
        message = await pillarbox.send("ann@example.org", on_unknown="hold", text=text)
        await asyncio.wait_for(at_step.wait(), 30)
        await pillarbox.lose_worker()
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert await pillarbox.told(message) == ["queued", "deferred", "delivered"]
        assert not delivery((await pillarbox.events(message))[1])["in_doubt"]
        assert ledger([*server.mails, *server.refused]) == {message: 1}


async def test_a_worker_lost_after_the_dot_ends_the_message_as_unknown_for_those_it_was_sent_for(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        at_dot = asyncio.Event()
        server.act("DOT", halt(at_dot), times=1)
        server.reply("RCPT", "451 4.7.1 Later", when="bob", times=1)
        message = await pillarbox.send("ann@example.org", "bob@example.org", on_unknown="hold")
        await asyncio.wait_for(at_dot.wait(), 30)
        await pillarbox.lose_worker()
        ends = {"ann@example.org": "unknown", "bob@example.org": "delivered"}
        assert await pillarbox.settled(message) == ends
        assert [mail.recipients for mail in server.mails] == [("bob@example.org",)]


async def test_nothing_is_sent_whole_while_the_doubt_cannot_be_written_down(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        at_data, may_answer = asyncio.Event(), asyncio.Event()
        server.act("DATA", hold(may_answer, "354 Go ahead", reached=at_data), times=1)
        message = await pillarbox.send("ann@example.org", on_unknown="hold")
        await asyncio.wait_for(at_data.wait(), 30)
        pillarbox.valkey.freeze()
        may_answer.set()
        # The worker hangs up as soon as it knows that the note is not taken.
        await server.until(lambda: server.sessions[0].is_closed)
        assert server.mails == []
        pillarbox.valkey.thaw()
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert ledger([*server.mails, *server.refused]) == {message: 1}
