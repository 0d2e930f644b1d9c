"""Which TLSA records speak for a host: against a fake DNS, and against a signed zone that unbound validates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from app.processes.ports import free_port
from app.settings.delivering import DnsSettings
from tests.fakes.dns import DnsServer, Trouble
from tests.fakes.signedzone import SignedZones, why_not
from worker.policies.dane import dane_of, is_signed, usable
from worker.policies.policy import Dane
from worker.routing.answers import Exchanger, Failed, Found, NoData, NoSuchName, Tlsa
from worker.routing.hosts import Host
from worker.routing.resolver import Resolver

DOMAIN, HOST = "x.example", Host("mx.x.example", "127.0.0.1", 10)
DIGEST = b"d" * 32
GOOD = Tlsa(3, 1, 1, DIGEST)
CERTIFICATE = load_pem_x509_certificate(trustme.CA().cert_pem.bytes()).public_bytes(Encoding.DER)


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    async with DnsServer() as server:
        server.signed.add("x.example")
        server.a("mx.x.example", "127.0.0.1")
        yield server


def _settings(address: str) -> DnsSettings:
    return DnsSettings(
        nameservers=(address,), validating=True, query_timeout=timedelta(seconds=0.3)
    )


async def _dane(dns: DnsServer, name: str = "mx.x.example") -> Dane | Failed | None:
    async with Resolver(_settings(dns.address)) as resolver:
        return await dane_of(resolver, DOMAIN, Host(name, "127.0.0.1", 10))


async def test_the_records_of_a_host_speak_for_it(dns: DnsServer) -> None:
    dns.tlsa("_25._tcp.mx.x.example", b"\x03\x01\x01" + DIGEST)
    assert await _dane(dns) == Dane("mx.x.example", ("mx.x.example", "x.example"), (GOOD,))


async def test_no_records_say_nothing(dns: DnsServer) -> None:
    assert await _dane(dns) is None


async def test_records_that_nobody_signed_say_nothing(dns: DnsServer) -> None:
    dns.a("mx.y.example", "127.0.0.1")
    dns.tlsa("_25._tcp.mx.y.example", b"\x03\x01\x01" + DIGEST)
    assert await _dane(dns, "mx.y.example") is None
    # Not even asked for: some servers fail at questions that they do not know (RFC 7672 §2.1.1).
    assert dns.questions["_25._tcp.mx.y.example", "TLSA"] == 0


async def test_records_of_an_unsigned_zone_below_a_signed_one_say_nothing(dns: DnsServer) -> None:
    dns.tlsa("tlsa.y.example", b"\x03\x01\x01" + DIGEST)
    dns.cname("_25._tcp.mx.x.example", "tlsa.y.example")
    assert await _dane(dns) is None


@pytest.mark.parametrize("trouble", [Trouble.SERVFAIL, Trouble.REFUSED, Trouble.SILENCE])
async def test_who_cannot_tell_does_not_say_no(dns: DnsServer, trouble: Trouble) -> None:
    dns.trouble("_25._tcp.mx.x.example", trouble)
    assert isinstance(await _dane(dns), Failed)


async def test_of_an_alias_the_records_at_its_end_speak_first(dns: DnsServer) -> None:
    dns.cname("www.x.example", "mx.x.example")
    dns.tlsa("_25._tcp.www.x.example", b"\x03\x01\x01" + b"w" * 32)
    dns.tlsa("_25._tcp.mx.x.example", b"\x03\x01\x01" + DIGEST)
    names = ("mx.x.example", "www.x.example", "x.example")
    assert await _dane(dns, "www.x.example") == Dane("mx.x.example", names, (GOOD,))


async def test_of_an_alias_the_records_at_itself_speak_where_its_end_has_none(
    dns: DnsServer,
) -> None:
    dns.cname("www.x.example", "mx.x.example")
    dns.tlsa("_25._tcp.www.x.example", b"\x03\x01\x01" + DIGEST)
    assert await _dane(dns, "www.x.example") == Dane(
        "www.x.example", ("www.x.example", "x.example"), (GOOD,)
    )


async def test_an_alias_into_an_unsigned_zone_has_records_of_its_own(dns: DnsServer) -> None:
    dns.a("mx.y.example", "127.0.0.1")
    dns.cname("www.x.example", "mx.y.example")
    dns.tlsa("_25._tcp.mx.y.example", b"\x03\x01\x01" + b"y" * 32)
    assert await _dane(dns, "www.x.example") is None
    dns.tlsa("_25._tcp.www.x.example", b"\x03\x01\x01" + DIGEST)
    assert await _dane(dns, "www.x.example") == Dane(
        "www.x.example", ("www.x.example", "x.example"), (GOOD,)
    )


async def test_records_may_be_of_no_use(dns: DnsServer) -> None:
    dns.tlsa("_25._tcp.mx.x.example", b"", b"\x03", b"\x03\x01\x01", b"\x01\x01\x01" + DIGEST)
    assert await _dane(dns) == Dane("mx.x.example", ("mx.x.example", "x.example"), ())


@pytest.mark.parametrize(
    "record",
    [
        Tlsa(0, 0, 1, DIGEST),
        Tlsa(1, 1, 1, DIGEST),
        Tlsa(4, 1, 1, DIGEST),
        Tlsa(255, 1, 1, DIGEST),
        Tlsa(3, 2, 1, DIGEST),
        Tlsa(3, 1, 3, DIGEST),
        Tlsa(3, 1, 1, b""),
        Tlsa(3, 1, 1, b"d"),
        Tlsa(3, 1, 1, DIGEST + b"d"),
        Tlsa(3, 1, 2, DIGEST),
        Tlsa(3, 1, 0, b""),
        Tlsa(2, 0, 0, b"no certificate"),
    ],
)
def test_records_that_are_malformed_or_unknown_are_of_no_use(record: Tlsa) -> None:
    assert usable([record]) == ()
    assert usable([record, GOOD]) == (GOOD,)


@pytest.mark.parametrize("usage", [2, 3])
@pytest.mark.parametrize("selector", [0, 1])
def test_of_two_digests_the_stronger_counts(usage: int, selector: int) -> None:
    whole = Tlsa(usage, selector, 0, CERTIFICATE)
    weak, strong = Tlsa(usage, selector, 1, b"w" * 32), Tlsa(usage, selector, 2, b"s" * 64)
    assert usable([weak, whole, strong]) == (whole, strong)
    assert usable([weak]) == (weak,)
    other = Tlsa(5 - usage, selector, 1, b"w" * 32)
    assert set(usable([other, strong])) == {other, strong}


@pytest.mark.parametrize("is_secure", [True, False])
def test_a_list_of_hosts_is_signed_where_dnssec_says_so(is_secure: bool) -> None:
    assert is_signed(Found((Exchanger(10, "mx"),), 0, is_secure)) is is_secure
    assert is_signed(NoData(0, is_secure)) is is_secure
    assert not is_signed(NoSuchName(0, is_secure))
    assert not is_signed(Failed("no answer"))


# ---- behind a resolver that really validates

SIGNED = f"""
@ MX 10 mx
mx A 127.0.0.1
www CNAME mx
bogus A 127.0.0.1
_25._tcp.mx TYPE52 \\# 35 030101{DIGEST.hex()}
_25._tcp.bogus TYPE52 \\# 35 030101{b"b".hex() * 32}
"""


@pytest.fixture(scope="module")
def zones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedZones]:
    if reason := why_not():
        pytest.skip(reason)
    directory: Path = tmp_path_factory.mktemp("zones")
    with SignedZones(directory, free_port()) as zones:
        zones.add("x.example", SIGNED)
        zones.add("y.example", SIGNED, is_signed=False)
        zones.add("forged.example", "@ MX 10 mx\nmx A 127.0.0.1\n")
        zones.forge("forged.example", "MX 10 mx.", "MX 10 my.")
        zones.forge("x.example", b"b".hex() * 32, b"c".hex() * 32)
        zones.start()
        yield zones


@pytest.fixture
async def resolver(zones: SignedZones) -> AsyncIterator[Resolver]:
    async with Resolver(_settings(zones.address)) as resolver:
        yield resolver


async def test_unbound_vouches_for_hosts_and_for_names_that_do_not_exist(
    resolver: Resolver,
) -> None:
    assert is_signed(await resolver.exchangers("x.example"))
    assert (await resolver.ipv4("www.x.example")) == Found(("127.0.0.1",), 300, is_secure=True)
    for answer in (
        await resolver.exchangers("no.x.example"),
        await resolver.ipv6("mx.x.example"),
    ):
        assert isinstance(answer, NoSuchName | NoData)
        assert answer.is_secure


async def test_unbound_vouches_for_nothing_in_an_unsigned_zone(resolver: Resolver) -> None:
    assert not is_signed(await resolver.exchangers("y.example"))
    host = Host("mx.y.example", "127.0.0.1", 10)
    assert await dane_of(resolver, "y.example", host) is None


async def test_signed_records_speak_for_their_host(resolver: Resolver) -> None:
    wanted = Dane("mx.x.example", ("mx.x.example", DOMAIN), (GOOD,))
    assert await dane_of(resolver, DOMAIN, HOST) == wanted
    alias = await dane_of(resolver, DOMAIN, Host("www.x.example", "127.0.0.1", 10))
    assert isinstance(alias, Dane)
    assert (alias.base, alias.records) == ("mx.x.example", (GOOD,))


async def test_forged_records_are_a_failure_and_not_an_absence(resolver: Resolver) -> None:
    host = Host("bogus.x.example", "127.0.0.1", 10)
    assert isinstance(await dane_of(resolver, DOMAIN, host), Failed)
    assert isinstance(await resolver.exchangers("forged.example"), Failed)


@pytest.mark.parametrize("trouble", [Trouble.SERVFAIL, Trouble.SILENCE])
async def test_who_cannot_tell_the_addresses_does_not_say_no(
    dns: DnsServer, trouble: Trouble
) -> None:
    # The way to the host was found a moment ago; an answer that is held back now must not switch DANE off.
    dns.tlsa("_25._tcp.mx.x.example", b"\x03\x01\x01" + DIGEST)
    dns.trouble("mx.x.example", trouble)
    assert isinstance(await _dane(dns), Failed)


async def test_who_cannot_tell_an_alias_does_not_say_no(dns: DnsServer) -> None:
    dns.a("mx.y.example", "127.0.0.1")
    dns.cname("www.x.example", "mx.y.example")
    dns.tlsa("_25._tcp.www.x.example", b"\x03\x01\x01" + DIGEST)
    dns.trouble("www.x.example", Trouble.SERVFAIL, kind="CNAME")
    assert isinstance(await _dane(dns, "www.x.example"), Failed)
