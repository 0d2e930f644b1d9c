"""A mail comes to `report_to` when a recipient fails or is late, over the whole path."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import redis

from tests.fakes.deployment import Deployment, deployed
from tests.fakes.dns import DnsServer
from tests.fakes.receiver import Receiver
from tests.fakes.smtp import Mail, SmtpServer, halt
from tests.fakes.waiting import eventually
from tests.scenarios.test_webhooks import add_endpoint
from tests.worker.reports.told import Reread, reread

READER = "ops@reports.example"
LATE = {"PILLARBOX_REPORTS__LATE_AFTER": "3600"}


def reports(server: SmtpServer) -> Sequence[Mail]:
    """Return the mails that the reader of reports has got."""
    return [mail for mail in server.mails if mail.recipients == (READER,)]


async def the_report(server: SmtpServer) -> Reread:
    """Wait for a report and return it; there is only one."""
    await server.until(lambda: bool(reports(server)))
    (mail,) = reports(server)
    assert mail.mail_from == ""
    return reread(mail.content)


def records(dns: DnsServer) -> None:
    for domain in ("example.org", "reports.example"):
        dns.a(domain, "127.0.0.1")


def let_be_late(pillarbox: Deployment, message: str) -> datetime:
    """Let the time be up after which a message that is still under way is reported; return that time."""
    member = f"{message}/late"
    with redis.Redis.from_url(pillarbox.valkey.url) as client:
        (queue,) = client.scan_iter("pillarbox:due:report/*/delivery")
        due_ms = client.zscore(queue, member)
        assert isinstance(due_ms, float)
        client.zadd(queue, {member: 0})
        client.zadd("pillarbox:lanes", {queue.removeprefix(b"pillarbox:due:"): 0})
    return datetime.fromtimestamp(due_ms / 1000, UTC)


async def no_more_to_tell(pillarbox: Deployment, message: str) -> None:
    """Send something through the same lanes, so that what was due before it is done."""
    assert await pillarbox.settled(message)
    assert await pillarbox.settled(await pillarbox.send("end@example.org"))


async def test_a_bounce_is_reported_once_to_whom_the_request_named(
    tmp_path: Path, dns: DnsServer
) -> None:
    records(dns)
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.reply("RCPT", "550 5.1.1 No such user", when="nobody")
        message = await pillarbox.send(
            "ann@example.org", "nobody@example.org", "nobody2@example.org", report_to=READER
        )
        assert await pillarbox.settled(message)
        read = await the_report(server)
        assert read.groups[0]["Original-Envelope-Id"] == message
        assert [fate["Final-Recipient"] for fate in read.recipients] == [
            "rfc822; nobody@example.org",
            "rfc822; nobody2@example.org",
        ]
        assert {fate["Diagnostic-Code"] for fate in read.recipients} == {
            "smtp; 550 5.1.1 No such user"
        }
        assert (
            b"Subject: hello\r\n" in reports(server)[0].content.partition(b"text/rfc822-headers")[2]
        )
        await no_more_to_tell(pillarbox, message)
        assert len(reports(server)) == 1


async def test_a_report_is_a_message_with_a_history_that_no_endpoint_is_told(
    tmp_path: Path, dns: DnsServer
) -> None:
    records(dns)
    async with (
        SmtpServer() as server,
        Receiver() as receiver,
        deployed(tmp_path, dns, server.port) as pillarbox,
    ):
        await add_endpoint(pillarbox, receiver)
        server.reply("RCPT", "550 5.1.1 No such user", when="nobody")
        message = await pillarbox.send("nobody@example.org", report_to=READER)
        read = await the_report(server)
        report = f"msg_{str(read.mail['Message-ID']).strip('<>').partition('@')[0]}"
        assert await pillarbox.settled(report) == {READER: "delivered"}
        assert await pillarbox.told(report) == ["queued", "delivered"]
        found = await pillarbox.ask("GET", f"/messages/{report}")
        assert (found["reports_on"], found["from"], found["report_to"]) == (message, "", None)
        await pillarbox.settled(await pillarbox.send("end@example.org"))
        await receiver.until(lambda: len(receiver.events) >= 4)
        assert {str(event["id"]) for event in receiver.events}.isdisjoint(
            {str(event["id"]) for event in await pillarbox.events(report)}
        )


async def test_a_report_that_bounces_is_not_reported(tmp_path: Path, dns: DnsServer) -> None:
    records(dns)
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.reply("RCPT", "550 5.1.1 No such user")
        message = await pillarbox.send("nobody@example.org", report_to=READER)
        await server.until(lambda: any(f"<{READER}>" in line for line in commands(server)))
        server.behave()
        await no_more_to_tell(pillarbox, message)
        assert [mail.recipients for mail in server.mails] == [("end@example.org",)]


def commands(server: SmtpServer) -> list[str]:
    return [line for session in server.sessions for line in session.commands]


async def test_a_message_that_is_late_is_reported_once_and_its_delivery_is_not(
    tmp_path: Path, dns: DnsServer
) -> None:
    records(dns)
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=LATE) as pillarbox,
    ):
        server.reply("RCPT", "451 4.7.1 Come back later", when="ann@")
        message = await pillarbox.send("ann@example.org", "bob@example.org", report_to=READER)

        async def tried() -> bool:
            found = await pillarbox.statuses(message)
            return found == {"ann@example.org": "deferred", "bob@example.org": "delivered"}

        await eventually(tried)
        created_at = str((await pillarbox.ask("GET", f"/messages/{message}"))["created_at"])
        late_after = let_be_late(pillarbox, message) - datetime.fromisoformat(created_at)
        assert round(late_after.total_seconds()) == 3600
        read = await the_report(server)
        (fate,) = read.recipients
        assert fate["Final-Recipient"] == "rfc822; ann@example.org"
        assert (fate["Action"], fate["Status"]) == ("delayed", "4.7.1")
        assert fate["Diagnostic-Code"] == "smtp; 451 4.7.1 Come back later"
        server.behave()
        await no_more_to_tell(pillarbox, message)
        assert len(reports(server)) == 1


async def test_what_expires_is_reported_in_the_last_words_of_the_receiver(
    tmp_path: Path, dns: DnsServer
) -> None:
    records(dns)
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.reply("RCPT", "451 4.3.0 Later", when="ann@")
        await pillarbox.send("ann@example.org", report_to=READER, expires_in=2)
        (fate,) = (await the_report(server)).recipients
        assert (fate["Action"], fate["Status"]) == ("failed", "4.3.0")
        assert fate["Diagnostic-Code"] == "smtp; 451 4.3.0 Later"


async def test_a_recipient_in_bcc_is_reported_apart_and_never_to_another(
    tmp_path: Path, dns: DnsServer
) -> None:
    records(dns)
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.reply("DOT", "550 5.7.1 Not for eve@example.org and bob@example.org", times=1)
        hidden = ["eve@example.org"]
        message = await pillarbox.send("bob@example.org", bcc=hidden, report_to=READER)
        await server.until(lambda: len(reports(server)) == 2)
        told = [mail.content.replace(b"\r\n ", b" ") for mail in reports(server)]
        about_bob, about_eve = sorted(told, key=lambda raw: b"Final-Recipient: rfc822; eve" in raw)
        assert b"eve@example.org" not in about_bob
        assert b"Final-Recipient: rfc822; eve@example.org" in about_eve
        assert b"Final-Recipient: rfc822; bob" not in about_eve
        await no_more_to_tell(pillarbox, message)

        server.reply("DOT", "550 5.7.1 Not for eve@example.org", times=1)
        message = await pillarbox.send(READER, bcc=hidden, report_to=READER)
        await server.until(lambda: len(reports(server)) == 3)
        await no_more_to_tell(pillarbox, message)
        assert len(reports(server)) == 3
        assert b"eve@example.org" not in reports(server)[2].content


async def test_workers_killed_while_reports_are_written_and_sent_lose_and_double_none(
    tmp_path: Path, dns: DnsServer
) -> None:
    records(dns)
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        server.reply("RCPT", "550 5.1.1 No such user", when="nobody")
        messages: list[str] = []
        for _ in range(3):
            messages += await asyncio.gather(
                *(pillarbox.send("nobody@example.org", report_to=READER) for _ in range(10))
            )
            await pillarbox.lose_worker()

        async def told() -> bool:
            return {envelope_id(mail) for mail in reports(server)} == set(messages)

        await eventually(told, within_s=60)
        # A report may come twice only as any mail may: cut between its final dot and the record of the reply.
        copies = {
            reread(mail.content).mail["Message-ID"]: envelope_id(mail) for mail in reports(server)
        }
        assert len(copies) == len(messages)


def envelope_id(mail: Mail) -> str:
    return reread(mail.content).groups[0]["Original-Envelope-Id"]


async def test_a_worker_lost_with_the_message_in_hand_leaves_the_header_for_the_report(
    tmp_path: Path, dns: DnsServer
) -> None:
    records(dns)
    async with SmtpServer() as server, deployed(tmp_path, dns, server.port) as pillarbox:
        at_dot = asyncio.Event()
        server.act("DOT", halt(at_dot), times=1)
        await pillarbox.send("ann@example.org", report_to=READER, on_unknown="hold")
        await asyncio.wait_for(at_dot.wait(), 10)
        await pillarbox.lose_worker()
        read = await the_report(server)
        assert read.recipients[0]["Status"] == "4.4.2"
        assert "may have arrived" in read.words
        assert "Subject: hello" in str(read.parts[2].get_content())
