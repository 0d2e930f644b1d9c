from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fakes.deployment import delivery, deployed, ledger
from tests.fakes.dns import DnsServer, Trouble
from tests.fakes.smtp import Connection, SmtpServer, halt, hold
from tests.fakes.waiting import eventually


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("step", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "DOT"])
async def test_a_worker_killed_at_any_step_loses_nothing_and_doubles_only_after_the_dot(
    tmp_path: Path, dns: DnsServer, step: str, pipelining: bool
) -> None:
    dns.a("example.org", "127.0.0.1")
    extensions = ("PIPELINING",) if pipelining else ()
    async with (
        SmtpServer(extensions=extensions) as server,
        deployed(tmp_path, dns, server.port) as pillarbox,
    ):
        at_step = asyncio.Event()
        server.act(step, halt(at_step), times=1)
        message = await pillarbox.send("ann@example.org")
        await asyncio.wait_for(at_step.wait(), 30)
        await pillarbox.lose_worker()
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert ledger(server.mails) == {message: 1}
        # What the receiver had whole before the reply was lost is the copy that RFC 1047 speaks of.
        assert ledger(server.refused) == ({message: 1} if step == "DOT" else {})
        assert await pillarbox.told(message) == ["queued", "deferred", "delivered"]
        assert delivery((await pillarbox.events(message))[1])["in_doubt"]


async def test_a_worker_killed_before_it_connects_loses_nothing(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    dns.trouble("example.org", Trouble.SILENCE)
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        message = await pillarbox.send("ann@example.org")
        assert await eventually(lambda: asked(dns))
        await asyncio.to_thread(pillarbox.worker.kill)
        dns.heal("example.org")
        pillarbox.worker.start()
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert ledger([*server.mails, *server.refused]) == {message: 1}


async def asked(dns: DnsServer) -> bool:
    return dns.questions["example.org", "MX"] > 0


async def test_a_worker_killed_in_the_middle_of_the_message_sends_it_once(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        in_body = asyncio.Event()

        async def take_no_more(connection: Connection) -> None:
            await connection.send("354 Go ahead")
            connection.stop_reading()
            in_body.set()

        server.act("DATA", take_no_more, times=1)
        message = await pillarbox.send("ann@example.org", text="Hello!\n" * 110_000)
        await asyncio.wait_for(in_body.wait(), 30)
        await pillarbox.lose_worker()
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert ledger([*server.mails, *server.refused]) == {message: 1}
        assert await pillarbox.told(message) == ["queued", "deferred", "delivered"]


async def test_a_worker_killed_after_it_recorded_a_delivery_sends_nothing_again(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        first = await pillarbox.send("ann@example.org")
        await pillarbox.settled(first)
        await pillarbox.lose_worker()
        second = await pillarbox.send("ann@example.org")
        await pillarbox.settled(second)
        assert ledger([*server.mails, *server.refused]) == {first: 1, second: 1}
        assert await pillarbox.told(first) == ["queued", "delivered"]


async def test_a_message_that_takes_its_worker_down_each_time_is_given_up_and_others_arrive(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    dns.a("example.net", "127.0.0.1")
    bound = {"PILLARBOX_DELIVERY__MOST_INTERRUPTIONS": "2"}
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=bound) as pillarbox,
    ):
        at_poison = asyncio.Event()
        server.act("RCPT", halt(at_poison), when="poison@")
        poison = await pillarbox.send("poison@example.org")
        for _ in range(2):
            await asyncio.wait_for(at_poison.wait(), 30)
            at_poison.clear()
            await pillarbox.lose_worker()
        healthy = await pillarbox.send("bob@example.net")
        assert await pillarbox.settled(healthy) == {"bob@example.net": "delivered"}
        assert await pillarbox.settled(poison) == {"poison@example.org": "unknown"}
        assert await pillarbox.told(poison) == ["queued", "deferred", "unknown"]
        said = delivery((await pillarbox.events(poison))[-1])
        assert (said["category"], said["in_doubt"]) == ("local", True)


async def test_a_worker_killed_between_the_reply_and_its_record_sends_a_second_copy_and_says_so(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        may_answer = asyncio.Event()
        server.act("DOT", hold(may_answer), times=1)
        message = await pillarbox.send("ann@example.org")
        await server.until(
            lambda: "DATA" in server.sessions[0].verbs() if server.sessions else False
        )
        pillarbox.valkey.freeze()
        may_answer.set()
        await server.received(1)
        await asyncio.to_thread(pillarbox.worker.kill)
        pillarbox.valkey.thaw()
        pillarbox.worker.start()
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert ledger(server.mails)[message] in {1, 2}
        assert "deferred" in await pillarbox.told(message) or ledger(server.mails)[message] == 1


async def test_workers_killed_again_and_again_under_load_lose_nothing(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        accepted: list[str] = []
        for _ in range(4):
            accepted += await asyncio.gather(
                *(pillarbox.send("ann@example.org") for _ in range(40))
            )
            await pillarbox.lose_worker()
        for message in accepted:
            assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        sent = ledger([*server.mails, *server.refused])
        assert set(sent) == set(accepted)
        # A second copy needs a drain that was killed with it in hand, and says so in the history.
        for message, copies in sent.items():
            assert copies == 1 or "deferred" in await pillarbox.told(message)


async def test_a_worker_frozen_past_its_lease_sends_nothing_more(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port, workers=2) as pillarbox:
        at_data, may_answer = asyncio.Event(), asyncio.Event()
        server.act("DATA", hold(may_answer, "354 Go ahead", reached=at_data), times=1)
        message = await pillarbox.send("ann@example.org")
        await asyncio.wait_for(at_data.wait(), 30)
        for worker in pillarbox.workers:
            worker.freeze()
        may_answer.set()
        await asyncio.sleep(2.5)  # longer than the lease of 2 s, which is what this is about
        for worker in pillarbox.workers:
            worker.thaw()
        assert await pillarbox.settled(message) == {"ann@example.org": "delivered"}
        assert ledger(server.mails) == {message: 1}
        assert server.refused == []


async def test_a_stopping_worker_gives_its_mail_back_and_a_starting_one_takes_it(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        at_dot, may_answer = asyncio.Event(), asyncio.Event()
        server.act("DOT", hold(may_answer, reached=at_dot), times=1)
        message = await pillarbox.send("ann@example.org")
        await asyncio.wait_for(at_dot.wait(), 30)
        stopping = asyncio.create_task(asyncio.to_thread(pillarbox.worker.stop))
        may_answer.set()
        assert await stopping == 0
        assert await pillarbox.statuses(message) == {"ann@example.org": "delivered"}
        waiting = await pillarbox.send("ann@example.org")
        pillarbox.worker.start()
        assert await pillarbox.settled(waiting) == {"ann@example.org": "delivered"}
        assert ledger(server.mails) == {message: 1, waiting: 1}
