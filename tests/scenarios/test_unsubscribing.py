"""Unsubscribing over the whole path: a link in a mail, one POST, an application that is told, and no more mail."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.settings import RedisSettings
from app.spool.client import Redis
from tests.fakes.deployment import UNSUBSCRIBE_URL, Deployment, data, delivery, rows
from tests.fakes.dns import DnsServer
from tests.fakes.receiver import Receiver
from tests.fakes.smtp import Mail, SmtpServer
from tests.fakes.waiting import eventually
from tests.scenarios.test_composed_mails import assert_untouched, read, signing
from tests.scenarios.test_webhooks import add_endpoint

NEWS = {"stream": "bulk", "list_unsubscribe": {"hosted": True}, "tags": ["spring"]}


def link(mail: Mail) -> str:
    """Return the path of the link in a mail, both of whose fields are signed, and once more than they stand."""
    message = read(mail)
    found = re.fullmatch(rf"<{UNSUBSCRIBE_URL}(/unsubscribe/[\w-]+)>", message["List-Unsubscribe"])
    assert found
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for signature in message.get_all("DKIM-Signature", []):
        (names,) = re.findall(r"\bh=([^;]+);", re.sub(r"\s", "", signature))
        signed = names.lower().split(":")
        assert signed.count("list-unsubscribe") == 2
        assert signed.count("list-unsubscribe-post") == 2
    return found[1]


async def click(pillarbox: Deployment, path: str) -> int:
    """Post as the mail program of a recipient does."""
    form = {"List-Unsubscribe": "One-Click"}
    async with pillarbox.session.post(
        pillarbox.api_url + path, data=form, allow_redirects=False
    ) as answer:
        return answer.status


@asynccontextmanager
async def watched(
    tmp_path: Path, dns: DnsServer, server: SmtpServer
) -> AsyncIterator[tuple[Deployment, dict[str, str], Receiver]]:
    """Run a Pillarbox that signs, with an application that is told of who unsubscribes."""
    async with (
        Receiver() as receiver,
        signing(tmp_path, dns, server) as (pillarbox, records),
    ):
        await add_endpoint(pillarbox, receiver, "message.unsubscribed")
        yield pillarbox, records, receiver


async def test_who_clicks_gets_no_more_of_that_stream_and_the_application_is_told(
    tmp_path: Path, dns: DnsServer
) -> None:
    async with SmtpServer() as server, watched(tmp_path, dns, server) as parts:
        pillarbox, records, receiver = parts
        message = await pillarbox.send("ann@example.org", "bob@example.org", **NEWS)
        assert set((await pillarbox.settled(message)).values()) == {"delivered"}
        mails = {mail.recipients: mail for mail in server.mails}
        assert set(mails) == {("ann@example.org",), ("bob@example.org",)}
        for mail in mails.values():
            assert_untouched(mail, records)
            assert read(mail)["To"] == "ann@example.org, bob@example.org"
        links = {to: link(mail) for to, mail in mails.items()}
        assert len(set(links.values())) == 2
        # To another host the link is as good as any: what counts is the path.
        for _ in range(2):
            assert await click(pillarbox, links["bob@example.org",]) == 200

        await receiver.until(lambda: len(receiver.events) == 1)
        (told,) = receiver.events
        assert told in await pillarbox.events(message)
        assert (told["type"], data(told)["address"]) == ("message.unsubscribed", "bob@example.org")
        assert (data(told)["message_id"], data(told)["tags"]) == (message, ["spring"])
        assert await pillarbox.statuses(message) == dict.fromkeys(
            ("ann@example.org", "bob@example.org"), "delivered"
        )

        second = await pillarbox.send("ann@example.org", "bob@example.org", **NEWS)
        ends = {"ann@example.org": "delivered", "bob@example.org": "suppressed"}
        assert await pillarbox.settled(second) == ends
        (event,) = [
            each for each in await pillarbox.events(second) if each["type"] == "message.suppressed"
        ]
        assert delivery(event)["suppression"] == "unsubscribed"
        third = await pillarbox.send("bob@example.org")
        assert await pillarbox.settled(third) == {"bob@example.org": "delivered"}


async def test_a_recipient_who_unsubscribes_while_a_mail_waits_does_not_get_it(
    tmp_path: Path, dns: DnsServer
) -> None:
    async with SmtpServer() as server, watched(tmp_path, dns, server) as (pillarbox, _, receiver):
        first = await pillarbox.send("ann@example.org", **NEWS)
        await pillarbox.settled(first)
        path = link(server.mails[0])
        server.reply("RCPT", "451 4.3.0 Later")
        second = await pillarbox.send("ann@example.org", **NEWS)

        async def is_deferred() -> bool:
            return "deferred" in await pillarbox.told(second)

        assert await eventually(is_deferred)
        assert await click(pillarbox, path) == 200
        assert await pillarbox.settled(second) == {"ann@example.org": "suppressed"}
        await receiver.until(lambda: len(receiver.events) == 1)
        assert data(receiver.events[0])["message_id"] == first
        assert len(server.mails) == 1


async def test_the_application_is_told_although_the_message_is_long_gone(
    tmp_path: Path, dns: DnsServer
) -> None:
    async with SmtpServer() as server, watched(tmp_path, dns, server) as (pillarbox, _, receiver):
        message = await pillarbox.send("Ann@example.org", **NEWS)
        await pillarbox.settled(message)
        path = link(server.mails[0])
        async with Redis.connect(RedisSettings(url=pillarbox.valkey.url)) as redis:
            await redis.call("DEL", redis.keys.message + message)
        for _ in range(2):
            assert await click(pillarbox, path) == 200
        await receiver.until(lambda: len(receiver.events) == 1)
        (told,) = receiver.events
        recipient = f"{message.replace('msg_', 'rcp_')}_0"
        assert data(told) == {
            "message_id": message,
            "recipient_id": recipient,
            "address": "ann@example.org",
            "sequence": None,
            "tags": [],
            "metadata": {},
        }
        (entry,) = rows((await pillarbox.ask("GET", "/suppressions"))["data"])
        assert (entry["address"], entry["message_id"]) == ("ann@example.org", message)
        # Taken off the list and unsubscribed again: that is told too.
        await pillarbox.session.delete(f"{pillarbox.api_url}/suppressions/ann@example.org")
        assert await click(pillarbox, path) == 200
        await receiver.until(lambda: len(receiver.events) == 2)
