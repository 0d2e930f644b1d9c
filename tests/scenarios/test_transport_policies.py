"""What receivers ask for and what messages demand, over the whole path: from the request to the last event."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from app.processes.ports import free_port
from app.wire import Json
from tests.fakes.deployment import Deployment, delivery, deployed
from tests.fakes.dns import DnsServer
from tests.fakes.policyhost import PolicyHost
from tests.fakes.signedzone import SignedZones, why_not
from tests.fakes.smtp import SmtpServer
from tests.fakes.waiting import eventually

MX, POLICY_HOST = "mx.example.org", "mta-sts.example.org"
ENFORCED = f"version: STSv1\nmode: enforce\nmx: {MX}\nmax_age: 86400\n"


@dataclass
class World:
    """A receiver with TLS, a policy host, and a deployment that trusts their authority."""

    dns: DnsServer
    server: SmtpServer
    policies: PolicyHost
    authority: trustme.CA
    pillarbox: Deployment

    def publish(self, policy: str = ENFORCED, id_: str = "1") -> None:
        self.policies.policies[POLICY_HOST] = policy
        self.dns.txt("_mta-sts.example.org", f"v=STSv1; id={id_};")

    def certify(self, authority: trustme.CA, name: str = MX) -> None:
        self.server.certificate = _context(authority.issue_cert(name))

    async def end(self, message: str) -> dict[str, Json]:
        """Wait for the end of a message to one recipient, and return what its last event says of the try."""
        await self.pillarbox.settled(message)
        return delivery((await self.pillarbox.events(message))[-1])

    async def deferral(self, message: str) -> dict[str, Json]:
        """Wait until a message was deferred, and return what the event says."""

        async def look() -> dict[str, Json] | None:
            events = await self.pillarbox.events(message)
            found = [each for each in events if each["type"] == "message.deferred"]
            return delivery(found[-1]) if found else None

        found = await eventually(look, within_s=30)
        assert found
        return found

    def was_told_of_mail(self) -> bool:
        return any("MAIL" in session.verbs() for session in self.server.sessions)


def _context(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context


@asynccontextmanager
async def _world(directory: Path, dns: DnsServer, **settings: str) -> AsyncIterator[World]:
    authority = trustme.CA()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(SmtpServer())
        policies = await stack.enter_async_context(PolicyHost(POLICY_HOST, authority=authority))
        dns.mx("example.org", (10, MX))
        dns.a(MX, server.host)
        dns.a(POLICY_HOST, policies.host)
        tls = {
            "PILLARBOX_TLS__AUTHORITIES": str(policies.authorities),
            "PILLARBOX_TLS__MTA_STS_PORT": str(policies.port),
            "PILLARBOX_DNS__SECOND_LOOK": "0.3",
        }
        pillarbox = await stack.enter_async_context(
            deployed(directory, dns, server.port, settings=tls | settings)
        )
        world = World(dns, server, policies, authority, pillarbox)
        world.certify(authority)
        yield world


async def test_an_mta_sts_policy_is_kept_and_told(tmp_path: Path, dns: DnsServer) -> None:
    async with _world(tmp_path, dns) as world:
        world.publish()
        said = await world.end(await world.pillarbox.send("ann@example.org"))
        assert (said["tls"], said["tls_policy"], said["tls_certificate"]) == (
            "TLSv1.3",
            "mta-sts",
            "valid",
        )
        assert said["tls_cipher"]


async def test_mail_waits_for_a_host_that_fails_the_policy_until_it_is_mended(
    tmp_path: Path, dns: DnsServer
) -> None:
    async with _world(tmp_path, dns) as world:
        world.publish()
        world.certify(trustme.CA())
        message = await world.pillarbox.send("ann@example.org")
        said = await world.deferral(message)
        assert (said["category"], said["tls_policy"], said["tls_certificate"]) == (
            "authentication",
            "mta-sts",
            "untrusted",
        )
        assert MX in str(said["text"])
        assert not world.was_told_of_mail()
        attempt = (await world.pillarbox.attempts(message))[0]
        assert (attempt["tls_policy"], attempt["tls_certificate"]) == ("mta-sts", "untrusted")
        world.certify(world.authority)
        assert (await world.end(message))["tls_certificate"] == "valid"


async def test_mail_that_demands_less_overtakes_mail_that_waits_for_a_safe_host(
    tmp_path: Path, dns: DnsServer
) -> None:
    async with _world(tmp_path, dns) as world:
        world.publish()
        world.server.certificate = None
        waiting = await world.pillarbox.send("ann@example.org")
        said = await world.deferral(waiting)
        assert (said["category"], said["tls"], said["tls_policy"]) == ("policy", None, "mta-sts")
        urgent = await world.pillarbox.send("ann@example.org", tls="optional")
        assert (await world.end(urgent))["tls_policy"] == "opportunistic"
        (mail,) = world.server.mails
        assert b"\r\nTLS-Required: No\r\n" in mail.content


async def test_a_changed_policy_is_looked_at_before_mail_is_given_up(
    tmp_path: Path, dns: DnsServer
) -> None:
    async with _world(tmp_path, dns) as world:
        world.publish(ENFORCED.replace(MX, "old.example.org"))
        message = await world.pillarbox.send("ann@example.org")
        said = await world.deferral(message)
        assert "not among the hosts" in str(said["text"])
        assert not world.server.sessions
        world.publish(id_="2")
        assert (await world.end(message))["tls_policy"] == "mta-sts"


async def test_mail_that_never_finds_a_safe_host_expires(tmp_path: Path, dns: DnsServer) -> None:
    async with _world(tmp_path, dns) as world:
        world.certify(trustme.CA())
        message = await world.pillarbox.send("ann@example.org", tls="verified", expires_in=2)
        assert await world.pillarbox.settled(message) == {"ann@example.org": "expired"}
        assert not world.was_told_of_mail()


async def test_a_message_may_demand_that_others_ask_for_tls_too(
    tmp_path: Path, dns: DnsServer
) -> None:
    async with _world(tmp_path, dns) as world:
        world.publish()
        refused = await world.pillarbox.send("ann@example.org", tls="require")
        said = await world.end(refused)
        assert (said["final"], said["category"]) == (True, "policy")
        assert str(said["text"]).startswith("5.7.30 ")
        assert not world.was_told_of_mail()
        world.server.extensions.append("REQUIRETLS")
        taken = await eventually(lambda: _sent(world, "require"), within_s=30)
        assert taken
        assert (await world.end(taken))["tls_policy"] == "requiretls"
        assert "REQUIRETLS" in world.server.mails[0].parameters


async def _sent(world: World, wish: str) -> str | None:
    """Send a message, and return its id if it was delivered: the host may still be left alone for a moment."""
    message = await world.pillarbox.send("ann@example.org", tls=wish)
    ended = await world.pillarbox.settled(message)
    return message if ended == {"ann@example.org": "delivered"} else None


async def test_tlsa_records_of_a_signed_zone_decide(tmp_path: Path, dns: DnsServer) -> None:
    if reason := why_not():
        pytest.skip(reason)
    zones_folder = tmp_path / "zones"
    zones_folder.mkdir()
    with SignedZones(zones_folder, free_port()) as zones:
        settings = {
            "PILLARBOX_DNS__NAMESERVERS": f'["{zones.address}"]',
            "PILLARBOX_DNS__VALIDATING": "true",
        }
        async with _world(tmp_path, dns, **settings) as world:
            leaf = trustme.CA().issue_cert("elsewhere.example")
            world.server.certificate = _context(leaf)
            for name, data in (("pinned", _digest(leaf)), ("other", "00" * 32)):
                zones.add(f"{name}.example", _zone(world.server, data))
            zones.start()
            pinned = await world.end(await world.pillarbox.send("ann@pinned.example"))
            assert (pinned["tls_policy"], pinned["tls_certificate"]) == ("dane", "pinned")
            other = await world.deferral(await world.pillarbox.send("ann@other.example"))
            assert (other["tls_policy"], other["tls_certificate"]) == ("dane", "unpinned")
        assert len(world.server.mails) == 1


def _digest(leaf: trustme.LeafCert) -> str:
    certificate = load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    return sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def _zone(server: SmtpServer, digest: str) -> str:
    return f"""
@ MX 10 mx
mx A {server.host}
_{server.port}._tcp.mx TYPE52 \\# 35 030001{digest}
"""
