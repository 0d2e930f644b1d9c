"""Fetching policies from hosts that are broken or hostile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest
import trustme

from app.networks import Network
from app.settings.delivering import DnsSettings, TlsSettings
from tests.fakes.dns import DnsServer
from tests.fakes.policyhost import ENFORCED, PolicyHost
from worker.outcomes.handshake import TlsFailure
from worker.policies.fetching import Fetcher
from worker.policies.mtasts import MOST_BYTES, PolicyError
from worker.routing.resolver import Resolver

NAME = "mta-sts.x.example"
LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture
async def host() -> AsyncIterator[PolicyHost]:
    async with PolicyHost(NAME) as host:
        host.policies[NAME] = ENFORCED
        yield host


@asynccontextmanager
async def _fetcher(
    host: PolicyHost, allowed: Sequence[Network] = LOOPBACK, trusted: PolicyHost | None = None
) -> AsyncIterator[Fetcher]:
    settings = TlsSettings(authorities=(trusted or host).authorities, mta_sts_port=host.port)
    async with DnsServer() as dns:
        dns.a(NAME, host.host)
        async with (
            Resolver(DnsSettings(nameservers=(dns.address,))) as resolver,
            Fetcher.open(settings, resolver, allowed) as fetcher,
        ):
            yield fetcher


async def _reason(host: PolicyHost) -> str:
    async with _fetcher(host) as fetcher:
        with pytest.raises(PolicyError) as caught:
            await fetcher.fetch("x.example")
    return caught.value.reason


async def test_a_policy_comes_as_its_host_has_it(host: PolicyHost) -> None:
    async with _fetcher(host) as fetcher:
        assert await fetcher.fetch("x.example") == ENFORCED.encode()


async def test_a_fetch_takes_a_minute_at_most(host: PolicyHost) -> None:
    async with _fetcher(host) as fetcher:
        assert fetcher.session.timeout.total == 60


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(host: PolicyHost, status: int) -> None:
    host.status = status
    host.headers["Location"] = f"https://{NAME}:{host.port}/.well-known/mta-sts.txt"
    assert f"HTTP {status}" in await _reason(host)
    assert host.asked[NAME] == 1


@pytest.mark.parametrize("status", [204, 404, 500])
async def test_only_ok_will_do(host: PolicyHost, status: int) -> None:
    host.status = status
    assert f"HTTP {status}" in await _reason(host)


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream"])
async def test_only_plain_text_will_do(host: PolicyHost, kind: str) -> None:
    host.headers["Content-Type"] = kind
    assert kind in await _reason(host)


async def test_a_policy_may_be_large_but_not_huge(host: PolicyHost) -> None:
    host.policies[NAME] = b"x" * MOST_BYTES
    async with _fetcher(host) as fetcher:
        assert len(await fetcher.fetch("x.example")) == MOST_BYTES
    host.policies[NAME] = b"x" * (MOST_BYTES + 1)
    assert "more than" in await _reason(host)


async def test_the_certificate_has_to_be_for_the_policy_host() -> None:
    async with PolicyHost("x.example", "www.x.example") as host:
        host.policies[NAME] = ENFORCED
        assert "certificate" in await _reason(host)
        assert not host.asked


async def test_the_certificate_has_to_be_of_a_trusted_authority(host: PolicyHost) -> None:
    async with PolicyHost(NAME) as other, _fetcher(host, trusted=other) as fetcher:
        with pytest.raises(PolicyError, match="certificate") as caught:
            await fetcher.fetch("x.example")
    assert not host.asked
    assert caught.value.failure is TlsFailure.STS_WEBPKI


async def test_private_addresses_are_not_connected_to(host: PolicyHost) -> None:
    async with _fetcher(host, allowed=()) as fetcher:
        with pytest.raises(PolicyError, match="private address"):
            await fetcher.fetch("x.example")
    assert not host.asked


async def test_a_host_that_has_no_address_is_a_failure(host: PolicyHost) -> None:
    async with _fetcher(host) as fetcher:
        with pytest.raises(PolicyError, match="no address"):
            await fetcher.fetch("y.example")


async def test_a_host_that_speaks_no_tls_is_a_failure() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + ENFORCED.encode())
        writer.close()

    async with PolicyHost(NAME, authority=trustme.CA()) as host:
        server = await asyncio.start_server(talk, host.host, 0)
        async with server:
            host.port = server.sockets[0].getsockname()[1]
            assert "cannot be fetched" in await _reason(host)
