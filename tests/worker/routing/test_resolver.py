"""Asking the DNS: servers that fail, answers that are kept, questions that are asked once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from ipaddress import ip_network

import pytest
from dnslib import RCODE, DNSRecord  # type: ignore[import-untyped]  # it ships no types

from app.errors import ConfigurationError
from app.settings.delivering import DnsSettings
from tests.fakes.dns import DnsServer, Trouble
from worker.routing.answers import (
    Answer,
    Exchanger,
    Failed,
    Found,
    NoData,
    NoSuchName,
    Tlsa,
)
from worker.routing.memory import Memory
from worker.routing.resolver import Resolver


def _resolver(*servers: DnsServer, patience: float = 10, budget: float = 20) -> Resolver:
    """Return a resolver that waits so many seconds for a server: long where a test is not about silence."""
    return Resolver(
        DnsSettings(
            nameservers=tuple(server.address for server in servers),
            query_timeout=timedelta(seconds=patience),
            budget=timedelta(seconds=budget),
        )
    )


async def test_records_come_with_their_ttl(dns: DnsServer) -> None:
    dns.ttl = 300
    dns.mx("x.example", (10, "MX.x.example"))
    dns.a("x.example", "192.0.2.1", "192.0.2.2")
    dns.aaaa("x.example", "2001:db8::1")
    async with _resolver(dns) as resolver:
        assert await resolver.exchangers("X.example") == Found(
            (Exchanger(10, "mx.x.example"),), 300
        )
        ipv4 = await resolver.ipv4("x.example")
        assert isinstance(ipv4, Found)
        assert set(ipv4.records) == {"192.0.2.1", "192.0.2.2"}
        assert await resolver.ipv6("x.example") == Found(("2001:db8::1",), 300)


async def test_a_name_without_such_records_and_no_name_are_told_apart(dns: DnsServer) -> None:
    dns.ttl = 60
    dns.a("x.example", "192.0.2.1")
    async with _resolver(dns) as resolver:
        assert await resolver.exchangers("x.example") == NoData(60)
        assert await resolver.exchangers("y.example") == NoSuchName(60)


@pytest.mark.parametrize(
    "trouble",
    [Trouble.SERVFAIL, Trouble.REFUSED, Trouble.SILENCE, Trouble.GARBAGE, Trouble.OTHER_ID],
)
async def test_the_next_server_is_asked_when_one_fails(dns: DnsServer, trouble: Trouble) -> None:
    async with DnsServer() as first:
        first.trouble("x.example", trouble)
        dns.a("x.example", "192.0.2.1")
        async with _resolver(first, dns, patience=1) as resolver:
            assert await resolver.ipv4("x.example") == Found(("192.0.2.1",), 0)
        assert first.questions["x.example", "A"] == 1


async def test_a_server_that_refuses_is_not_asked_again(dns: DnsServer) -> None:
    dns.trouble("x.example", Trouble.SERVFAIL)
    async with _resolver(dns) as resolver:
        answer = await resolver.ipv4("x.example")
    assert answer == Failed("127.0.0.1 answered SERVFAIL")
    assert dns.questions["x.example", "A"] == 1


async def test_a_lost_packet_is_sent_again(dns: DnsServer) -> None:
    dns.trouble("x.example", Trouble.SILENCE)
    async with _resolver(dns, patience=0.2) as resolver:
        assert isinstance(await resolver.ipv4("x.example"), Failed)
    assert dns.questions["x.example", "A"] == 2


async def test_a_truncated_answer_is_asked_for_by_tcp(dns: DnsServer) -> None:
    dns.a("x.example", *(f"192.0.2.{number}" for number in range(200)))
    dns.trouble("x.example", Trouble.TRUNCATED)
    async with _resolver(dns) as resolver:
        answer = await resolver.ipv4("x.example")
    assert isinstance(answer, Found)
    assert len(answer.records) == 200
    assert dns.tcp_questions == 1


@pytest.mark.parametrize(("aliases", "is_followed"), [(1, True), (8, True), (9, False)])
async def test_aliases_are_followed_so_far(dns: DnsServer, aliases: int, is_followed: bool) -> None:
    for number in range(aliases):
        dns.cname(f"a{number}.example", f"a{number + 1}.example")
    dns.a(f"a{aliases}.example", "192.0.2.1")
    async with _resolver(dns) as resolver:
        answer = await resolver.ipv4("a0.example")
    assert isinstance(answer, Found if is_followed else Failed)


async def test_an_alias_to_nothing_does_not_exist(dns: DnsServer) -> None:
    dns.cname("x.example", "gone.example")
    async with _resolver(dns) as resolver:
        assert isinstance(await resolver.ipv4("x.example"), NoSuchName)


async def test_an_alias_to_a_name_without_such_records_is_asked_once(dns: DnsServer) -> None:
    dns.cname("x.example", "y.example")
    dns.a("y.example", "192.0.2.1")
    async with _resolver(dns) as resolver:
        assert isinstance(await resolver.ipv6("x.example"), NoData)
    assert dns.questions.total() == 1


async def test_answers_are_kept_for_their_ttl(dns: DnsServer) -> None:
    dns.ttl = 60
    dns.a("x.example", "192.0.2.1")
    async with _resolver(dns) as resolver:
        for _ in range(3):
            await resolver.ipv4("x.example")
            await resolver.ipv4("gone.example")
    assert dns.questions["x.example", "A"] == 1
    assert dns.questions["gone.example", "A"] == 1


async def test_answers_without_ttl_are_not_kept(dns: DnsServer) -> None:
    dns.a("x.example", "192.0.2.1")
    async with _resolver(dns) as resolver:
        await resolver.ipv4("x.example")
        dns.a("x.example", "192.0.2.2")
        assert await resolver.ipv4("x.example") == Found(("192.0.2.2",), 0)


@pytest.mark.parametrize("rcode", [RCODE.NOERROR, RCODE.NXDOMAIN])
async def test_a_denial_without_soa_is_not_kept(dns: DnsServer, rcode: int) -> None:
    def deny(question: DNSRecord) -> bytes:
        reply = question.reply()
        reply.header.rcode = rcode
        return bytes(reply.pack())

    dns.script = deny
    async with _resolver(dns) as resolver:
        assert isinstance(await resolver.ipv4("x.example"), NoData | NoSuchName)
        dns.script = None
        dns.a("x.example", "192.0.2.1")
        assert await resolver.ipv4("x.example") == Found(("192.0.2.1",), 0)


async def test_a_question_that_is_being_asked_is_not_asked_twice(dns: DnsServer) -> None:
    dns.a("x.example", "192.0.2.1")
    async with _resolver(dns) as resolver:
        answers = await asyncio.gather(*[resolver.ipv4("x.example") for _ in range(50)])
    assert set(answers) == {Found(("192.0.2.1",), 0)}
    assert dns.questions["x.example", "A"] == 1


async def test_one_who_gives_up_does_not_stop_the_question_of_others(dns: DnsServer) -> None:
    dns.a("x.example", "192.0.2.1")
    async with _resolver(dns) as resolver:
        first, other = (asyncio.ensure_future(resolver.ipv4("x.example")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert isinstance(await other, Found)
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_closing_stops_what_is_being_asked(dns: DnsServer) -> None:
    dns.trouble("x.example", Trouble.SILENCE)
    async with AsyncExitStack() as stack:
        resolver = await stack.enter_async_context(_resolver(dns))
        asked = asyncio.ensure_future(resolver.ipv4("x.example"))
        await asyncio.sleep(0)
        await stack.aclose()
        with pytest.raises(asyncio.CancelledError):
            await asked


async def test_failures_are_kept_for_a_moment() -> None:
    now, asked = [0.0], [0]
    memory = Memory[str](60, lambda: now[0])

    async def fail(_: str) -> Answer[str]:
        asked[0] += 1
        return Failed("no")

    for later, questions in [(0.0, 1), (1.9, 1), (2.1, 2)]:
        now[0] = later
        await memory.recall("x.example", fail)
        assert asked[0] == questions


async def test_no_answer_is_kept_for_longer_than_the_settings_say() -> None:
    now, asked = [0.0], [0]
    memory = Memory[str](60, lambda: now[0])

    async def ask(_: str) -> Answer[str]:
        asked[0] += 1
        return Found(("192.0.2.1",), 86_400)

    for later, questions in [(0.0, 1), (59.0, 1), (61.0, 2)]:
        now[0] = later
        await memory.recall("x.example", ask)
        assert asked[0] == questions


@pytest.mark.parametrize("name", ["192.0.2.1", "192.0.2.1:53", "::1", "[::1]", "[::1]:5353"])
def test_servers_are_named_by_address_and_port(name: str) -> None:
    Resolver(DnsSettings(nameservers=(name,)))


@pytest.mark.parametrize("name", ["dns.example", "192.0.2.1:port", "", "300.1.1.1"])
def test_a_server_that_is_no_address_is_a_contradiction(name: str) -> None:
    with pytest.raises(ConfigurationError, match="write `ip`"):
        Resolver(DnsSettings(nameservers=(name,)))


async def test_the_strings_of_a_text_record_are_joined(dns: DnsServer) -> None:
    dns.txt("x.example", ["v=STSv1; ", "id=1;"], "other")
    async with _resolver(dns) as resolver:
        answer = await resolver.texts("x.example")
    assert isinstance(answer, Found)
    assert set(answer.records) == {b"v=STSv1; id=1;", b"other"}


async def test_tlsa_records_come_as_they_stand(dns: DnsServer) -> None:
    dns.tlsa("_25._tcp.mx.x.example", bytes.fromhex("030101ff"), bytes.fromhex("090807"), b"\x03")
    async with _resolver(dns) as resolver:
        answer = await resolver.tlsa("_25._tcp.mx.x.example")
    assert isinstance(answer, Found)
    assert set(answer.records) == {
        Tlsa(3, 1, 1, b"\xff"),
        Tlsa(9, 8, 7, b""),
        Tlsa(255, 255, 255, b""),
    }


async def test_an_alias_can_be_asked_for_itself_and_an_answer_names_its_end(dns: DnsServer) -> None:
    dns.cname("www.x.example", "X.example")
    dns.a("x.example", "192.0.2.1")
    async with _resolver(dns) as resolver:
        assert await resolver.alias("www.x.example") == Found(("x.example",), 0)
        assert await resolver.alias("x.example") == NoData(0)
        ipv4 = await resolver.ipv4("www.x.example")
    assert isinstance(ipv4, Found)
    assert ipv4.owner == "x.example"


async def test_validation_is_believed_only_where_the_settings_say_so(dns: DnsServer) -> None:
    dns.signed.add("x.example")
    dns.a("x.example", "192.0.2.1")
    dns.a("y.example", "192.0.2.1")
    async with _resolver(dns) as resolver:
        assert await resolver.ipv4("x.example") == Found(("192.0.2.1",), 0)
    async with Resolver(DnsSettings(nameservers=(dns.address,), validating=True)) as resolver:
        assert await resolver.ipv4("x.example") == Found(("192.0.2.1",), 0, is_secure=True)
        assert await resolver.ipv4("y.example") == Found(("192.0.2.1",), 0)
        assert await resolver.exchangers("x.example") == NoData(0, is_secure=True)
        assert await resolver.exchangers("no.x.example") == NoSuchName(0, is_secure=True)


async def test_a_chain_of_aliases_is_only_as_safe_as_its_weakest_link(dns: DnsServer) -> None:
    dns.signed.add("x.example")
    dns.cname("www.x.example", "y.example")
    dns.a("y.example", "192.0.2.1")
    async with Resolver(DnsSettings(nameservers=(dns.address,), validating=True)) as resolver:
        assert await resolver.ipv4("www.x.example") == Found(("192.0.2.1",), 0)
        assert await resolver.alias("www.x.example") == Found(("y.example",), 0, is_secure=True)


def test_a_resolver_far_away_is_not_believed() -> None:
    far = DnsSettings(nameservers=("127.0.0.1", "192.0.2.53"), validating=True)
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.53 is not on loopback"):
        Resolver(far)
    near = {"trusted_networks": (ip_network("192.0.2.0/24"),)}
    Resolver(far.model_copy(update=near))
