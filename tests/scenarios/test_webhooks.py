from __future__ import annotations

from pathlib import Path

from tests.fakes.deployment import Deployment, data, deployed
from tests.fakes.dns import DnsServer
from tests.fakes.receiver import Receiver
from tests.fakes.smtp import SmtpServer


async def add_endpoint(pillarbox: Deployment, receiver: Receiver, *events: str) -> str:
    answer = await pillarbox.ask(
        "POST", "/endpoints", {"url": receiver.url, "events": list(events)}
    )
    receiver.secret = str(answer["secret"])
    return str(answer["id"])


async def test_an_application_is_told_of_everything_signed_and_in_sequence(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with (
        SmtpServer() as server,
        Receiver() as receiver,
        deployed(tmp_path, dns, server.port) as pillarbox,
    ):
        await add_endpoint(pillarbox, receiver)
        server.reply("RCPT", "451 4.7.1 Later", times=1)
        message = await pillarbox.send("ann@example.org", tags=["welcome"], metadata={"user": "7"})
        await receiver.until(lambda: len(receiver.events) == 3)
        told = sorted(receiver.events, key=lambda event: int(str(data(event)["sequence"])))
        assert [event["type"] for event in told] == [
            "message.queued",
            "message.deferred",
            "message.delivered",
        ]
        assert told == await pillarbox.events(message)
        assert (data(told[0])["tags"], data(told[0])["metadata"]) == (["welcome"], {"user": "7"})


async def test_a_receiver_that_was_down_gets_every_event_when_it_is_back(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        receiver = Receiver()
        await receiver.start()
        await add_endpoint(pillarbox, receiver)
        receiver.status = 500
        messages = [await pillarbox.send(f"user{n}@example.org") for n in range(5)]
        await receiver.until(lambda: receiver.refused > 0)
        await receiver.stop()
        for message in messages:
            await pillarbox.settled(message)
        receiver.status = 200
        await receiver.start()
        await receiver.until(lambda: len(receiver.events) >= 10)
        await receiver.stop()
        ids = {str(event["id"]) for event in receiver.events}
        assert ids == {
            str(event["id"]) for message in messages for event in await pillarbox.events(message)
        }


async def test_an_endpoint_gets_only_the_events_it_asked_for(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.mx("example.org", (0, "."))
    dns.a("example.net", "127.0.0.1")
    async with (
        SmtpServer() as server,
        Receiver() as receiver,
        deployed(tmp_path, dns, server.port) as pillarbox,
    ):
        await add_endpoint(pillarbox, receiver, "message.bounced")
        await pillarbox.settled(await pillarbox.send("ann@example.net"))
        await pillarbox.settled(await pillarbox.send("ann@example.org"))
        await receiver.until(lambda: len(receiver.events) == 1)
        assert receiver.events[0]["type"] == "message.bounced"


async def test_a_deleted_endpoint_is_told_nothing_more(tmp_path: Path, dns: DnsServer) -> None:
    dns.a("example.org", "127.0.0.1")
    async with (
        SmtpServer() as server,
        Receiver() as gone,
        Receiver() as kept,
        deployed(tmp_path, dns, server.port) as pillarbox,
    ):
        endpoint = await add_endpoint(pillarbox, gone)
        await add_endpoint(pillarbox, kept)
        async with pillarbox.session.delete(f"{pillarbox.api_url}/endpoints/{endpoint}") as answer:
            assert answer.status == 204
        await pillarbox.settled(await pillarbox.send("ann@example.org"))
        await kept.until(lambda: len(kept.events) == 2)
        assert gone.events == []
