"""Return paths over the whole path: one for each recipient, the same at each try, and what can be read from it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from app.identity.domain import DomainStatus
from app.identity.tokens import PURPOSE, Origin, Tokens
from app.ids import ProjectId
from app.messages import Stream
from app.settings import DkimSettings, RedisSettings, Settings
from app.settings.rootkeys import SecretSettings
from app.spool.client import Redis
from tests.app.identity.test_senders import path_findings
from tests.fakes.deployment import Deployment, deployed, rows
from tests.fakes.dns import DnsServer
from tests.fakes.identity import domains_of, put
from tests.fakes.smtp import Mail, SmtpServer
from tests.scenarios.test_finished_mails import PLAIN, post
from tests.scenarios.test_sources import OUT, fond_of, greylisting, peers
from tests.scenarios.test_sources import settings as sources

DOMAIN = "bounces.example.com"
SECRET = "a7" * 32
SETTINGS: Mapping[str, str] = {
    "PILLARBOX_RETURN_PATH__DOMAIN": DOMAIN,
    "PILLARBOX_SECRETS__KEY": SECRET,
}
PROJECT = ProjectId("acme")
UNSIGNED = DkimSettings(required=False)
LEAVE = {"url": "https://example.com/leave"}
TO = ("ann@example.org", "bob@example.org", "cat@example.org")


def tokens(secret: str = SECRET) -> Tokens:
    return Tokens(SecretSettings(key=SecretStr(secret)).derived(PURPOSE))


def origin_at(path: str) -> Origin:
    """Return what a return path is about, at whatever domain."""
    found = tokens().read(path.partition("@")[0], [ProjectId("other"), PROJECT])
    assert found is not None
    return found


def origin(path: str) -> Origin:
    """Return what a return path at the domain of the settings is about."""
    assert path.endswith(f"@{DOMAIN}")
    return origin_at(path)


async def shown(pillarbox: Deployment, message: str) -> dict[str, str]:
    """Return the return path of each recipient as the API shows it."""
    found = await pillarbox.ask("GET", f"/messages/{message}")
    assert found["mail_from"] == "sender@example.com"
    return {str(each["address"]): str(each["return_path"]) for each in rows(found["recipients"])}


def paths(mails: list[Mail]) -> dict[str, str]:
    """Return the return path that each recipient's mail came with; each has a mail of its own."""
    found = {mail.recipients: mail.mail_from for mail in mails}
    assert len(found) == len(mails)
    return {address: path for (address,), path in found.items()}


async def test_each_recipient_has_a_return_path_that_tells_of_it_and_stays_at_each_try(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    met: list[tuple[str, str, str]] = []
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=SETTINGS, workers=2) as pillarbox,
    ):
        server.act("RCPT", greylisting(met))
        message = await pillarbox.send(*TO, stream="bulk", list_unsubscribe=LEAVE)
        assert await pillarbox.settled(message) == dict.fromkeys(TO, "delivered")
        assert set(Counter(met).values()) == {2}
        found = paths(server.mails)
        assert await shown(pillarbox, message) == found
    assert len(set(found.values())) == 3
    for index, address in enumerate(TO):
        about = origin(found[address])
        assert (about.project, about.stream) == (PROJECT, Stream.BULK)
        assert (about.message, about.index) == (message, index)
        assert [other for other in TO if tokens().is_marked(about, other)] == [address]
        local = found[address].partition("@")[0]
        assert tokens("b8" * 32).read(local, [PROJECT]) is None
        assert tokens().read(local[:-1] + ("0" if local[-1] != "0" else "1"), [PROJECT]) is None


async def prove(pillarbox: Deployment, name: str) -> None:
    """Make a domain of the project one whose records were all found right."""
    chosen = Settings(redis=RedisSettings(url=pillarbox.valkey.url), dkim=UNSIGNED)
    async with Redis.connect(chosen.redis) as redis:
        domains = domains_of(redis, chosen)
        made = await domains.create(PROJECT, name, f"bounces.{name}")
        findings = path_findings(name)
        await put(domains, made, replace(made, status=DomainStatus.VERIFIED, findings=findings))


async def test_return_paths_stand_at_the_domain_of_the_project_that_sends(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=SETTINGS) as pillarbox,
    ):
        await prove(pillarbox, "shop.example")
        senders = ("a@shop.example", "b@news.shop.example", "c@example.com")
        messages = [await pillarbox.send(TO[0], **{"from": sender}) for sender in senders]
        for message in messages:
            await pillarbox.settled(message)
        found = {str(origin_at(mail.mail_from).message): mail.mail_from for mail in server.mails}
    domains = ("bounces.shop.example", "bounces.shop.example", DOMAIN)
    assert [found[message].partition("@")[2] for message in messages] == [*domains]


async def test_recipients_get_the_same_bytes_and_each_its_own_outcome(
    tmp_path: Path, dns: DnsServer
) -> None:
    for domain in ("example.org", "example.net"):
        dns.a(domain, "127.0.0.1")
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=SETTINGS) as pillarbox,
    ):
        server.reply("RCPT", "550 5.1.1 No such user", when="bob@")
        server.reply("DOT", "451 4.3.0 Later", times=1)
        message = await pillarbox.send(*TO, "dan@example.net", bcc=["eve@example.net"])
        ended = await pillarbox.settled(message)
        assert ended.pop("bob@example.org") == "bounced"
        assert set(ended.values()) == {"delivered"}
        assert len({mail.content for mail in server.mails + server.refused}) == 1
        again = {mail.recipients[0]: mail.mail_from for mail in server.refused}
        assert again.items() <= paths(server.mails).items()


async def test_reports_of_receivers_and_ours_go_on_as_before(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=SETTINGS) as pillarbox,
    ):
        server.extensions = ["PIPELINING", "SIZE", "DSN"]
        server.reply("RCPT", "550 5.1.1 No such user", when="bob@")
        message = await pillarbox.send(*TO[:2], report_to="sender@example.org")
        await pillarbox.settled(message)
        mail, report = await server.received(2)
        said = [line for session in server.sessions for line in session.commands]
    assert (report.mail_from, report.recipients) == ("", ("sender@example.org",))
    sent = next(line for line in said if line.startswith(f"MAIL FROM:<{mail.mail_from}>"))
    assert f" RET=HDRS ENVID={message}" in sent
    asked = "RCPT TO:<ann@example.org> NOTIFY=FAILURE ORCPT=rfc822;ann@example.org"
    assert asked in said
    assert origin(mail.mail_from).message == message


async def test_a_return_path_that_the_caller_chose_is_kept(tmp_path: Path, dns: DnsServer) -> None:
    dns.a("example.org", "127.0.0.1")
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=SETTINGS) as pillarbox,
    ):
        chosen = await post(pillarbox, PLAIN + b"\r\nx\r\n", *TO, mail_from="mine@example.com")
        author = await post(pillarbox, PLAIN + b"\r\nx\r\n", *TO, mail_from="sender@example.com")
        given = await post(pillarbox, PLAIN + b"\r\nx\r\n", TO[0])
        for message in (chosen, author, given):
            await pillarbox.settled(message)
        by_path: dict[str, list[str]] = defaultdict(list)
        for mail in server.mails:
            by_path[mail.mail_from] += sorted(mail.recipients)
    assert by_path.pop("mine@example.com") == by_path.pop("sender@example.com") == [*TO]
    ((path, recipients),) = by_path.items()
    assert (origin(path).message, recipients) == (given, [TO[0]])


async def test_mail_of_one_author_keeps_to_its_source_whatever_its_return_paths(
    tmp_path: Path, dns: DnsServer
) -> None:
    dns.a("example.org", "127.0.0.1")
    settings = {**SETTINGS, **sources(tmp_path)}
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=settings) as pillarbox,
    ):
        (first,), (second,) = fond_of(OUT[0]), fond_of(OUT[1])
        for _ in range(3):
            for user in (first, second):
                await pillarbox.settled(await pillarbox.send(user))
        assert peers(server) == ["127.0.0.2", "127.0.0.3"] * 3
        assert len({mail.mail_from for mail in server.mails}) == 6


async def test_switched_off_bounces_go_to_the_author(tmp_path: Path, dns: DnsServer) -> None:
    dns.a("example.org", "127.0.0.1")
    settings = {**SETTINGS, "PILLARBOX_RETURN_PATH__ENABLED": "false"}
    async with (
        SmtpServer() as server,
        deployed(tmp_path, dns, server.port, settings=settings) as pillarbox,
    ):
        message = await pillarbox.send(*TO)
        await pillarbox.settled(message)
        (mail,) = await server.received(1)
        assert (mail.mail_from, set(mail.recipients)) == ("sender@example.com", set(TO))
        assert set((await shown(pillarbox, message)).values()) == {"sender@example.com"}
