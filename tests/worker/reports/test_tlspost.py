"""TLS reports go to the first address that takes them, by HTTPS or by mail, and for a day at most."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from app.identity.keys.keyfolder import KeyFolder
from app.identity.keys.keyring import Keyring
from app.ids import DrainId, new_drain_id
from app.mail.address import Address
from app.mail.dkim import Algorithm, generate_pem, load_key, public_record
from app.messages import Message, Stream, TlsWish
from app.networks import Network
from app.settings import ReportSettings, Settings, WebhookSettings
from app.settings.delivering import DeliverySettings, TlsSettings
from app.spool.codec import MESSAGE
from app.spool.replies import as_bytes, as_list
from app.spool.workers.claims import MailClaim, MailLane
from app.spool.workers.reports import INSTALLATION, TlsClaim, TlsLane
from tests.app.mail.verifiers import dkimpy_accepts
from tests.app.spool.conftest import Spool, spool, spool_settings
from tests.fakes.dns import DnsServer, Trouble
from tests.worker.reports.published import publications
from worker.outcomes.handshake import Handshake
from worker.reports.tlspost import Desk, Sent, TlsCourier
from worker.reports.tlsreport import Submitter, TlsReport, document
from worker.reports.tlsrpt import HANDSHAKE, due_at

__all__ = ["spool"]

DAY = date(2026, 3, 1)
DOMAIN = "x.example"
DUE = due_at(DAY, DOMAIN)
LOOPBACK = (ip_network("127.0.0.0/8"),)
COUNTS = {HANDSHAKE.encode(Handshake(host="mx.x.example")): 3}
CLAIM = TlsClaim(TlsLane(), DrainId("drn_1"), 1, f"tls/{DAY}/{DOMAIN}", COUNTS)
PEM = generate_pem(Algorithm.ED25519)


@dataclass
class Endpoint:
    """An HTTPS host for reports, as receivers run them."""

    port: int = 0
    authorities: Path | None = None
    status: int = 201
    headers: Mapping[str, str] = field(default_factory=dict)
    posts: list[tuple[str, bytes]] = field(default_factory=list)

    def url(self, host: str = "localhost") -> str:
        return f"https://{host}:{self.port}/v1"

    async def take(self, request: web.Request) -> web.Response:
        self.posts.append((request.content_type, await request.read()))
        return web.Response(status=self.status, headers=self.headers)


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    found, authority = Endpoint(authorities=tmp_path / "ca.pem"), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    application = web.Application()
    application.router.add_post("/v1", found.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    found.port = runner.addresses[0][1]
    yield found
    await runner.cleanup()


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    async with DnsServer() as server:
        yield server


@dataclass
class Office:
    """What a courier needs, as tests want it."""

    spool: Spool
    dns: DnsServer
    settings: Settings
    keys: Path | None
    now: datetime = DUE

    async def send(self, *uris: str) -> Sent:
        """Let the domain publish these URIs, and send its report."""
        self.dns.txt(f"_smtp._tls.{DOMAIN}", f"v=TLSRPTv1; rua={','.join(uris)}")
        return await self.send_as_published()

    async def send_as_published(self) -> Sent:
        desk = Desk(self.spool.store, Keyring(KeyFolder(self.keys)), lambda: self.now)
        async with (
            publications(self.spool.redis, self.dns) as published,
            TlsCourier.open(desk, published, self.settings) as courier,
        ):
            return await courier.send(CLAIM)

    async def kept(self) -> Sequence[tuple[Message, bytes]]:
        """Return the mails in our queue, with their bytes."""
        redis, found = self.spool.redis, []
        for key in as_list(await redis.call("KEYS", f"{redis.keys.message}*")):
            message, raw = as_list(await redis.call("HMGET", as_bytes(key), "m", "raw"))
            found.append((MESSAGE.decode(as_bytes(message)), as_bytes(raw)))
        return found


@pytest.fixture
def office(
    spool: Spool, dns: DnsServer, endpoint: Endpoint, valkey_url: str, tmp_path: Path
) -> Office:
    (tmp_path / "out.example").mkdir()
    (tmp_path / "out.example" / "s1.pem").write_bytes(PEM)
    return Office(spool, dns, office_settings(valkey_url, endpoint), tmp_path)


def office_settings(
    url: str, endpoint: Endpoint, allowed: tuple[Network, ...] = LOOPBACK
) -> Settings:
    groups = {
        "reports": ReportSettings(tls_from="tls@out.example", organization="Out", contact="us"),
        "tls": TlsSettings(authorities=endpoint.authorities),
        "delivery": DeliverySettings(allowed_networks=allowed),
    }
    return spool_settings(url).model_copy(update=groups)


async def test_a_report_is_posted_compressed_with_its_media_type(
    office: Office, endpoint: Endpoint
) -> None:
    assert await office.send(endpoint.url()) == Sent(None)
    submitter = Submitter("Out", "us", Address("tls", "out.example"))
    report = TlsReport(submitter, DOMAIN, DAY, {Handshake(host="mx.x.example"): 3})
    assert endpoint.posts == [("application/tlsrpt+gzip", document(report))]
    assert await office.kept() == []


async def test_networks_of_our_endpoints_are_closed_to_reports(
    office: Office, endpoint: Endpoint, valkey_url: str
) -> None:
    closed = office_settings(valkey_url, endpoint, allowed=())
    webhooks = WebhookSettings(allowed_networks=LOOPBACK)
    office.settings = closed.model_copy(update={"webhooks": webhooks})
    assert (await office.send(endpoint.url("127.0.0.1"))).wait is not None
    assert endpoint.posts == []


async def test_report_hosts_are_looked_up_by_the_resolver_of_mail(office: Office) -> None:
    assert (await office.send("https://reports.x.example/v1")).wait is not None
    assert office.dns.questions["reports.x.example", "A"] == 1


async def test_a_report_is_mailed_signed_and_lives_for_a_day(office: Office) -> None:
    sent = await office.send("mailto:tls%2Breports@x.example?subject=hi")
    ((message, raw),) = await office.kept()
    assert sent == Sent(None, (MailLane(INSTALLATION, Stream.TRANSACTIONAL, DOMAIN).name,))
    assert [recipient.address for recipient in message.recipients] == ["tls+reports@x.example"]
    assert (message.project, message.mail_from) == (INSTALLATION, "tls@out.example")
    assert message.expires_at == DUE + timedelta(hours=24)
    assert (message.report_to, message.tls) == (None, TlsWish.OPTIONAL)
    assert b"\r\nTLS-Required: No\r\n" in raw
    record = public_record(load_key(PEM, "out.example", "s1"))
    assert dkimpy_accepts(raw, 0, {"s1._domainkey.out.example": record})
    assert b"l=" not in raw.partition(b"bh=")[0]


async def test_a_report_that_is_mailed_again_after_a_crash_is_one_mail(office: Office) -> None:
    await office.send("mailto:tls@x.example")
    assert await office.send_as_published() == Sent(None)
    assert len(await office.kept()) == 1


async def test_the_queue_of_the_installation_is_drained_like_any_other(office: Office) -> None:
    await office.send("mailto:tls@x.example")
    lane = MailLane(INSTALLATION, Stream.TRANSACTIONAL, DOMAIN)
    assert isinstance(await office.spool.lanes.begin(lane, new_drain_id()), MailClaim)


async def test_the_first_address_that_takes_the_report_gets_it_and_no_other(
    office: Office, endpoint: Endpoint
) -> None:
    endpoint.status = 500
    await office.send(
        endpoint.url(), "mailto:not an address", "mailto:a@x.example,mailto:b@x.example"
    )
    assert len(endpoint.posts) == 1
    ((message, _),) = await office.kept()
    assert message.recipients[0].address == "a@x.example"


async def test_a_redirect_is_no_success_and_is_not_followed(
    office: Office, endpoint: Endpoint
) -> None:
    endpoint.status, endpoint.headers = 307, {"Location": endpoint.url()}
    sent = await office.send(endpoint.url())
    assert sent.wait is not None
    assert len(endpoint.posts) == 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "0x7f.1"])
async def test_nothing_is_posted_to_private_addresses(
    office: Office, endpoint: Endpoint, valkey_url: str, host: str
) -> None:
    office.settings = office_settings(valkey_url, endpoint, allowed=())
    assert (await office.send(endpoint.url(host))).wait is not None
    assert endpoint.posts == []


@pytest.mark.parametrize("uri", ["http://localhost/", "ftp://x.example/", "https://", "nonsense"])
async def test_what_is_no_address_for_reports_is_passed_over(office: Office, uri: str) -> None:
    assert (await office.send(uri)).wait is not None


async def test_a_domain_with_endless_addresses_is_not_posted_to_at_each(
    office: Office, endpoint: Endpoint
) -> None:
    # Each may keep us waiting for a minute, and other domains' reports wait behind.
    endpoint.status = 500
    assert (await office.send(*[endpoint.url()] * 7)).wait is not None
    assert len(endpoint.posts) == 4


async def test_a_certificate_of_nobody_we_trust_is_not_posted_to(
    office: Office, endpoint: Endpoint
) -> None:
    office.settings = office.settings.model_copy(update={"tls": TlsSettings()})
    assert (await office.send(endpoint.url())).wait is not None
    assert endpoint.posts == []


async def test_without_a_key_no_report_is_mailed(office: Office) -> None:
    office.keys = None
    assert (await office.send("mailto:tls@x.example")).wait is not None
    assert await office.kept() == []


async def test_a_domain_that_wants_no_reports_any_more_gets_none(office: Office) -> None:
    assert await office.send_as_published() == Sent(None)


async def test_while_the_dns_cannot_tell_the_report_waits(office: Office) -> None:
    office.dns.trouble(f"_smtp._tls.{DOMAIN}", Trouble.SERVFAIL)
    assert (await office.send_as_published()).wait is not None


async def test_a_report_that_nobody_takes_is_tried_ever_more_rarely_for_a_day(
    office: Office, endpoint: Endpoint
) -> None:
    endpoint.status = 503
    tries = 0
    while (sent := await office.send(endpoint.url())).wait is not None:
        assert sent.wait >= timedelta(minutes=5)
        office.now += sent.wait
        tries += 1
    assert 5 <= tries <= 15
    assert DUE + timedelta(hours=23) <= office.now <= DUE + timedelta(hours=25)
