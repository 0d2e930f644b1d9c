"""What a hostile or broken DNS can make of us: a deferral with its reason, after a bounded number of questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import ip_network

import pytest
from dnslib import (  # type: ignore[import-untyped]  # dnslib has no types
    CNAME,
    MX,
    NS,
    QTYPE,
    RR,
    A,
    DNSLabel,
    DNSRecord,
)
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.settings.delivering import DeliverySettings, DnsSettings
from tests.fakes.dns import DnsServer
from worker.outcomes.outcome import Outcome, Verdict
from worker.routing.answers import Failed, Found, NoData, NoSuchName
from worker.routing.memory import Memory
from worker.routing.mx import Router
from worker.routing.resolver import Resolver

SOON = timedelta(seconds=0.05)


@pytest.fixture
async def router(dns: DnsServer) -> AsyncIterator[Router]:
    async with resolver(dns) as asked:
        yield routing(asked)


def resolver(dns: DnsServer, query_timeout: timedelta = timedelta(seconds=10)) -> Resolver:
    return Resolver(DnsSettings(nameservers=(dns.address,), query_timeout=query_timeout))


def routing(asked: Resolver) -> Router:
    loopback = (ip_network("127.0.0.0/8"),)
    return Router(asked, DeliverySettings(ehlo_name="a.example", allowed_networks=loopback))


async def why_not(router: Router) -> str:
    """Return why x.example cannot be reached, which must be no bounce."""
    outcome = await router.route("x.example")
    assert isinstance(outcome, Outcome)
    assert outcome.verdict is Verdict.UNREACHED
    assert outcome.text.startswith("4.4.3 ")
    return outcome.text


async def test_aliases_without_end_are_given_up(dns: DnsServer, router: Router) -> None:
    def one_more(question: DNSRecord) -> bytes:
        reply = question.reply()
        alias = CNAME(f"x{dns.questions.total()}.example")
        reply.add_answer(RR(question.q.qname, QTYPE.CNAME, rdata=alias, ttl=60))
        return bytes(reply.pack())

    dns.script = one_more
    assert "aliases" in await why_not(router)
    assert dns.questions.total() < 12


async def test_an_answer_full_of_aliases_is_given_up(dns: DnsServer, router: Router) -> None:
    def all_at_once(question: DNSRecord) -> bytes:
        reply = question.reply()
        for number in range(300):
            name = f"x{number}.example" if number else question.q.qname
            alias = CNAME(f"x{number + 1}.example")
            reply.add_answer(RR(name, QTYPE.CNAME, rdata=alias, ttl=60))
        if not dns.tcp_questions:
            reply.rr, reply.header.tc = [], 1
        return bytes(reply.pack())

    dns.script = all_at_once
    assert "makes no sense" in await why_not(router)
    assert dns.questions.total() < 12


@pytest.mark.parametrize("name", ["x.example", "other.example"])
async def test_a_referral_is_not_taken_for_a_domain_without_exchangers(
    dns: DnsServer, router: Router, name: str
) -> None:
    def refer(question: DNSRecord) -> bytes:
        reply = question.reply()
        reply.add_auth(RR(name, QTYPE.NS, rdata=NS("ns.other.example"), ttl=60))
        return bytes(reply.pack())

    dns.script = refer
    assert "another question" in await why_not(router)


async def test_records_that_were_not_asked_for_are_not_used(dns: DnsServer, router: Router) -> None:
    def answer_for_another(question: DNSRecord) -> bytes:
        reply = question.reply()
        reply.add_answer(RR("other.example", QTYPE.A, rdata=A("127.0.0.1"), ttl=60))
        return bytes(reply.pack())

    dns.script = answer_for_another
    assert "another question" in await why_not(router)


async def test_a_damaged_record_is_no_bounce(dns: DnsServer) -> None:
    def cut_short(question: DNSRecord) -> bytes:
        reply = question.reply()
        reply.add_answer(RR(question.q.qname, QTYPE.MX, rdata=MX("mx.x.example"), ttl=60))
        return bytes(reply.pack())[:-4]

    dns.script = cut_short
    async with resolver(dns, SOON) as asked:
        await why_not(routing(asked))


async def test_an_exchanger_with_odd_bytes_in_its_name_is_looked_up_as_it_stands(
    dns: DnsServer, router: Router
) -> None:
    odd = DNSLabel((b"a b_*\x01", b"x", b"example"))

    def answer(question: DNSRecord) -> bytes:
        reply = question.reply()
        kind, rdata = (
            (QTYPE.MX, MX(odd, 10)) if question.q.qtype == QTYPE.MX else (QTYPE.A, A("127.0.0.2"))
        )
        asked_for_odd = tuple(question.q.qname.label) == tuple(odd.label)
        if kind == QTYPE.MX or (asked_for_odd and question.q.qtype == QTYPE.A):
            reply.add_answer(RR(question.q.qname, kind, rdata=rdata, ttl=60))
        return bytes(reply.pack())

    dns.script = answer
    hosts = await router.route("x.example")
    assert not isinstance(hosts, Outcome)
    assert [host.address for host in hosts] == ["127.0.0.2"]
    assert hosts[0].name.isascii()
    assert hosts[0].name.isprintable()


@pytest.mark.parametrize("are_equal", [False, True])
async def test_a_thousand_exchangers_cost_a_bounded_number_of_questions(
    dns: DnsServer, router: Router, are_equal: bool
) -> None:
    names = [f"mx{number}.x.example" for number in range(1000)]
    dns.mx("x.example", *((10 if are_equal else number, name) for number, name in enumerate(names)))
    for name in names:
        dns.a(name, *(f"127.0.1.{last}" for last in range(100)))
    hosts = await router.route("x.example")
    assert not isinstance(hosts, Outcome)
    assert len(hosts) == 5
    assert dns.questions.total() < 70
    # What tells the site of a domain is always the same, and leaves out none that a mail may go to.
    assert await router.exchangers("x.example") == tuple(sorted(names) if are_equal else names)
    assert dns.tcp_questions >= 1


async def test_an_exchanger_with_thousands_of_addresses_is_tried_at_a_few(
    dns: DnsServer, router: Router
) -> None:
    dns.mx("x.example", (10, "mx.x.example"))
    dns.a("mx.x.example", *(f"127.0.{high}.{low}" for high in range(8) for low in range(256)))
    hosts = await router.route("x.example")
    assert not isinstance(hosts, Outcome)
    assert len({host.address for host in hosts}) == 5


@given(noise=st.binary(max_size=60), keeps_header=st.booleans())
@examples(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
async def test_any_bytes_of_a_server_give_an_answer(noise: bytes, keeps_header: bool) -> None:
    def answer(question: DNSRecord) -> bytes:
        packed = bytes(question.reply().pack())
        return packed[: 12 if len(noise) % 2 else len(packed)] + noise if keeps_header else noise

    async with DnsServer() as dns, resolver(dns, timedelta(seconds=0.02)) as asked:
        dns.script = answer
        found = await asked.exchangers("x.example")
        assert isinstance(found, Failed | Found | NoData | NoSuchName)
        assert dns.questions.total() <= 4


async def test_answers_to_ever_new_names_do_not_fill_the_memory() -> None:
    memory, asked = Memory[str](60), Counter[str]()

    async def ask(name: str) -> NoSuchName:
        asked[name] += 1
        return NoSuchName(60)

    for number in range(50_001):
        await memory.recall(str(number), ask)
    await memory.recall("50000", ask)
    await memory.recall("0", ask)
    assert asked["50000"] == 1
    assert asked["0"] == 2
