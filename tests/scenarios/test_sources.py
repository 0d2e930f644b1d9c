"""Mail from several addresses: who keeps which, and what becomes of it where a receiver blocks one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from app.messages import Stream
from app.settings import RedisSettings, Settings
from app.spool.client import Redis
from app.spool.scripts import Scripts
from app.spool.workers.sources import SourceBook, SourceRest
from tests.fakes.deployment import Deployment, data, delivery, deployed, rows
from tests.fakes.dns import DnsServer
from tests.fakes.processes import worker_process
from tests.fakes.smtp import Action, Connection, SmtpServer, hold, smtp_servers
from tests.fakes.waiting import eventually
from worker.routing.hosts import Host
from worker.sites.sources import Pool, Source

OUT = (
    Source("out1", "out1.example.com", ipv4="127.0.0.2"),
    Source("out2", "out2.example.com", ipv4="127.0.0.3"),
)
NAMES = {source.ipv4: source.ehlo_name for source in OUT}
BLOCKED = "554 5.7.1 Service unavailable; Client host [127.0.0.2] blocked using zen.spamhaus.org"


def settings(directory: Path, *warm_ups: str) -> dict[str, str]:
    """Write a file of the two sources, each with what is to stand beside its addresses."""
    lines = ["[all]", 'streams = ["transactional", "bulk"]']
    for number, source in enumerate(OUT):
        lines += ["[[all.sources]]", f'name = "{source.name}"', f'ipv4 = "{source.ipv4}"']
        lines += [f'ehlo_name = "{source.ehlo_name}"', *warm_ups[number : number + 1]]
    path = directory / "sources.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return {"PILLARBOX_DELIVERY__SOURCES_FILE": str(path)}


def warm_up(*mails: int) -> str:
    return f"warm_up = {{ start = {datetime.now(UTC).date()}, mails = {list(mails)} }}"


def fond_of(source: Source, count: int = 1, domain: str = "example.org") -> list[str]:
    """Return addresses whose mail tries `source` first."""
    pool, hosts = Pool("all", frozenset(Stream), OUT), (Host("mx", "127.0.0.1", 10),)
    users = (f"user{n}@{domain}" for n in range(1000))
    found = [
        user for user in users if pool.candidates("sender@example.com", user, hosts)[0] == source
    ]
    return found[:count]


def peers(server: SmtpServer) -> list[str]:
    """Return where the taken mails came from, in their order."""
    return [server.sessions[mail.session - 1].peer for mail in server.mails]


def from_peer(address: str, reply: str, otherwise: str = "250 2.1.5 Ok") -> Action:
    """Answer those who come from an address like this."""

    async def action(connection: Connection) -> None:
        await connection.send(reply if connection.session.peer == address else otherwise)

    return action


def greylisting(met: list[tuple[str, str, str]]) -> Action:
    """Put off each triplet of address, sender and recipient when it is met first; note all that are met."""

    async def action(connection: Connection) -> None:
        commands = connection.session.commands
        sender = next(each for each in reversed(commands) if each.startswith("MAIL"))
        triplet = (connection.session.peer, sender.partition(" SIZE")[0], commands[-1])
        is_known = triplet in met
        met.append(triplet)
        await connection.send("250 2.1.5 Ok" if is_known else "451 4.7.1 Greylisted, come back")

    return action


async def told(pillarbox: Deployment, message: str, *events: str) -> bool:
    return await pillarbox.told(message) == list(events)


async def rest(pillarbox: Deployment, sources: Sequence[Source], length: timedelta) -> None:
    """Let sources rest at the site of example.org."""
    chosen = Settings.model_validate(
        {"redis": {"url": pillarbox.valkey.url}, "dkim": {"required": False}}
    )
    async with Redis.connect(RedisSettings(url=pillarbox.valkey.url)) as redis:
        book = SourceBook(redis, Scripts.of(redis.keys, chosen))
        for source in sources:
            await book.rest(SourceRest("example.org", source.name, length))


async def test_a_greylisted_mail_comes_back_from_the_same_address_and_sender(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    met: list[tuple[str, str, str]] = []
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=settings(tmp_path), workers=2) as pillarbox,
    ):
        server.act("RCPT", greylisting(met))
        users = [*fond_of(OUT[0], 3), *fond_of(OUT[1], 3)]
        messages = [await pillarbox.send(user) for user in users]
        for message in messages:
            await pillarbox.settled(message)
            assert await pillarbox.told(message) == ["queued", "deferred", "delivered"]
        assert set(Counter(met).values()) == {2}
        assert Counter(peers(server)) == {"127.0.0.2": 3, "127.0.0.3": 3}
        assert all(each.ehlo_name == NAMES[each.peer] for each in server.sessions)


async def test_events_and_attempts_tell_the_source(tmp_path: Path, dns: DnsServer) -> None:
    dns.a("example.org", "127.0.0.1")
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=settings(tmp_path)) as pillarbox,
    ):
        message = await pillarbox.send(*fond_of(OUT[1]))
        await pillarbox.settled(message)
        said = delivery((await pillarbox.events(message))[-1])
        (attempt,) = await pillarbox.attempts(message)
        for each in (said, attempt):
            assert (each["source"], each["source_ip"]) == ("out2", "127.0.0.3")


async def test_mail_of_a_blocked_source_goes_from_the_next_at_once_and_at_that_site_only(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.4")
    dns.a("example.net", "127.0.0.5")
    async with (
        smtp_servers("127.0.0.4", "127.0.0.5") as (strict, friendly),
        deployed(tmp_path, dns, strict.port, settings=settings(tmp_path)) as pillarbox,
    ):
        strict.act("RCPT", from_peer("127.0.0.2", BLOCKED))
        first, later = fond_of(OUT[0], 2)
        message = await pillarbox.send(first)
        assert await pillarbox.settled(message) == {first: "delivered"}
        assert await pillarbox.told(message) == ["queued", "deferred", "delivered"]
        blocked, taken = (delivery(each) for each in (await pillarbox.events(message))[1:])
        assert (blocked["category"], blocked["source"], blocked["final"]) == (
            "reputation",
            "out1",
            False,
        )
        assert taken["source"] == "out2"
        found = await pillarbox.ask("GET", f"/messages/{message}")
        assert [each["attempts"] for each in rows(found["recipients"])] == [1]
        results = [
            rows(each["recipients"])[0]["result"] for each in await pillarbox.attempts(message)
        ]
        assert results == ["blocked", "delivered"]
        # The site is spared the blocked address from now on, and other sites are not.
        asked = len(strict.sessions)
        await pillarbox.settled(await pillarbox.send(later))
        assert {each.peer for each in strict.sessions[asked:]} <= {"127.0.0.3"}
        (elsewhere,) = fond_of(OUT[0], domain="example.net")
        await pillarbox.settled(await pillarbox.send(elsewhere))
        assert peers(friendly) == ["127.0.0.2"]


async def test_a_source_that_is_greeted_with_a_refusal_is_spared_and_the_site_is_not_blamed(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=settings(tmp_path)) as pillarbox,
    ):
        server.act("GREETING", from_peer("127.0.0.2", BLOCKED, "220 hello"))
        messages = [await pillarbox.send(user) for user in fond_of(OUT[0], 5)]
        for message in messages:
            assert set((await pillarbox.settled(message)).values()) == {"delivered"}
        assert set(peers(server)) == {"127.0.0.3"}


async def test_mail_that_all_sources_are_blocked_for_waits_and_is_no_bounce(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=settings(tmp_path)) as pillarbox,
    ):
        server.reply("RCPT", BLOCKED)
        (user,) = fond_of(OUT[0])
        message = await pillarbox.send(user)
        assert await eventually(lambda: told(pillarbox, message, "queued", "deferred", "deferred"))
        assert [each["source"] for each in await pillarbox.attempts(message)] == ["out1", "out2"]
        async with Redis.connect(RedisSettings(url=pillarbox.valkey.url)) as redis:
            lane = redis.keys.lane + "mail/acme/transactional/example.org"
            assert await eventually(lambda: redis.call("HGET", lane, "not_before"))
        assert await pillarbox.told(message) == ["queued", "deferred", "deferred"]
        assert len(server.sessions) == 2


async def test_mail_that_waited_for_sources_that_rest_goes_on_by_itself(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=settings(tmp_path)) as pillarbox,
    ):
        await rest(pillarbox, OUT, timedelta(seconds=2))
        message = await pillarbox.send(*fond_of(OUT[0]))
        assert set((await pillarbox.settled(message)).values()) == {"delivered"}
        assert await pillarbox.told(message) == ["queued", "delivered"]
        assert len(await pillarbox.attempts(message)) == 1


async def test_a_source_at_its_ceiling_leaves_the_rest_of_a_message_to_the_next(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    met: list[tuple[str, str, str]] = []
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=settings(tmp_path, warm_up(2))) as pillarbox,
    ):
        server.act("RCPT", greylisting(met))
        message = await pillarbox.send(*fond_of(OUT[0], 3))
        assert set((await pillarbox.settled(message)).values()) == {"delivered"}
        counts = Counter[str]()
        for mail, peer in zip(server.mails, peers(server), strict=True):
            counts[peer] += len(mail.recipients)
        assert counts == {"127.0.0.2": 2, "127.0.0.3": 1}
        tries = [len(rows(each["recipients"])) for each in await pillarbox.attempts(message)]
        assert tries[:2] == [2, 1]
        assert set(Counter(met).values()) == {2}


async def test_beyond_all_ceilings_mail_waits_for_tomorrow_but_retries_of_today_go_on(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    today = datetime.now(UTC).date()
    async with (
        SmtpServer() as server,
        deployed(
            tmp_path, dns, server.port, settings=settings(tmp_path, warm_up(1), warm_up(1))
        ) as pillarbox,
    ):
        server.reply("RCPT", "451 4.7.1 Greylisted")
        lucky = [await pillarbox.send(user) for user in fond_of(OUT[0], 2)]
        for message in lucky:
            assert await eventually(partial(put_off, pillarbox, message))
        late = await pillarbox.send(*fond_of(OUT[1]))
        assert await eventually(lambda: told(pillarbox, late, "queued", "deferred"))
        server.behave()
        for message in lucky:
            assert set((await pillarbox.settled(message)).values()) == {"delivered"}
        event = (await pillarbox.events(late))[-1]
        said = delivery(event)
        assert (said["category"], said["host"], said["source"]) == ("local", None, None)
        assert str(said["next_attempt_at"]).startswith(str(today + timedelta(days=1)))
        assert data(event)["address"] == fond_of(OUT[1])[0]
        assert await pillarbox.attempts(late) == []
        assert set(peers(server)) == {"127.0.0.2", "127.0.0.3"}


async def test_workers_together_stay_below_a_ceiling(tmp_path: Path, dns: DnsServer) -> None:
    dns.a("example.org", "127.0.0.1")
    async with (
        SmtpServer() as server,
        deployed(
            tmp_path, dns, server.port, settings=settings(tmp_path, warm_up(5)), workers=2
        ) as pillarbox,
    ):
        messages = [await pillarbox.send(user) for user in fond_of(OUT[0], 20)]
        for message in messages:
            assert set((await pillarbox.settled(message)).values()) == {"delivered"}
        assert Counter(peers(server)) == {"127.0.0.2": 5, "127.0.0.3": 15}


async def test_a_worker_that_is_killed_with_a_source_in_hand_costs_only_room_under_its_ceiling(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    reached = asyncio.Event()
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=settings(tmp_path, warm_up(1))) as pillarbox,
    ):
        server.act("RCPT", hold(asyncio.Event(), reached=reached))
        message = await pillarbox.send(*fond_of(OUT[0]))
        await reached.wait()
        pillarbox.worker.kill()
        server.behave()
        pillarbox.worker.start()
        assert set((await pillarbox.settled(message)).values()) == {"delivered"}
        assert peers(server) == ["127.0.0.3"]


def test_a_worker_with_a_bad_file_says_why_and_does_not_start(tmp_path: Path) -> None:
    environment = {"PILLARBOX_DKIM__REQUIRED": "false", **settings(tmp_path, "colour = 1")}
    worker, _ = worker_process(environment, tmp_path)
    with worker:
        assert worker.child.wait(30) == 2
    path = tmp_path / "sources.toml"
    assert worker.log.read_text() == f"{path}: all.sources[1].colour: there is no such key\n"


async def put_off(pillarbox: Deployment, message: str) -> bool:
    return bool(await pillarbox.attempts(message))
