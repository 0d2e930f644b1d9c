"""What the name servers of a domain say, each asked by itself: real DNS over UDP and TCP on loopback."""

from __future__ import annotations

import pytest
from dnslib import NS, QTYPE, RR, DNSRecord  # type: ignore[import-untyped]  # dnslib has no types

from app.identity.findings import Answered, Unanswered
from tests.fakes.dns import Trouble
from tests.worker.identity.servers import name_servers
from worker.identity.nameservers import Zone
from worker.routing.answers import Failed

NAME = "x._domainkey.shop.example"
ONE, TWO = "ns1.example.net", "ns2.example.net"


async def test_every_name_server_is_asked_and_no_resolver() -> None:
    async with name_servers() as names:
        names.one.txt(NAME, ["long " * 40, "text"], "second")
        names.two.txt(NAME, "other")
        assert await names.servers.look(NAME, "TXT") == (
            Answered(ONE, ("long " * 40 + "text", "second")),
            Answered(TWO, ("other",)),
        )
        assert names.top.questions[NAME, "TXT"] == 0


async def test_answers_that_do_not_fit_a_datagram_come_by_tcp() -> None:
    async with name_servers() as names:
        names.one.txt(NAME, ["x" * 255] * 8)
        names.two.txt(NAME, ["x" * 255] * 8)
        found = await names.servers.look(NAME, "TXT")
        assert found == (Answered(ONE, ("x" * 2040,)), Answered(TWO, ("x" * 2040,)))
        assert names.one.tcp_questions == 1


async def test_names_that_do_not_exist_have_nothing() -> None:
    async with name_servers() as names:
        names.one.a(NAME, "192.0.2.1")
        assert await names.servers.look(NAME, "TXT") == (Answered(ONE, ()), Answered(TWO, ()))
        assert await names.servers.look("other.example", "MX") == (Answered(ONE, ()),)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (Trouble.SERVFAIL, "answers SERVFAIL"),
        (Trouble.REFUSED, "answers REFUSED"),
        (Trouble.SILENCE, "no answer"),
        (Trouble.GARBAGE, "no answer"),
    ],
)
async def test_a_server_that_does_not_answer_is_named_beside_one_that_does(
    trouble: Trouble, reason: str
) -> None:
    async with name_servers() as names:
        names.one.txt(NAME, "here")
        names.two.trouble(NAME, trouble)
        right, wrong = await names.servers.look(NAME, "TXT")
        assert right == Answered(ONE, ("here",))
        assert isinstance(wrong, Unanswered)
        assert wrong.server == TWO
        assert reason in wrong.reason


async def test_a_lame_server_is_named_and_not_believed() -> None:
    async with name_servers() as names:
        names.one.txt(NAME, "here")
        names.two.txt(NAME, "old")
        names.two.lame.add(NAME)
        assert await names.servers.look(NAME, "TXT") == (
            Answered(ONE, ("here",)),
            Unanswered(TWO, "has no authority for it"),
        )


async def test_a_packet_that_was_lost_is_sent_again() -> None:
    async with name_servers() as names:
        names.one.txt(NAME, "here")
        names.one.script = lambda question: (
            None if names.one.questions[NAME, "TXT"] == 1 else (bytes(question.reply().pack()))
        )
        found = await names.servers.look(NAME, "TXT")
        assert found[0] == Answered(ONE, ())
        assert names.one.questions[NAME, "TXT"] == 2


async def test_where_none_can_be_asked_the_resolver_is() -> None:
    async with name_servers() as names:
        names.top.txt(NAME, "remembered")
        names.top.mx("shop.example", (10, "mx.example.org"))
        for server in (names.one, names.two):
            server.trouble(NAME, Trouble.SILENCE)
            server.trouble("shop.example", Trouble.REFUSED)
        found = await names.servers.look(NAME, "TXT")
        assert found == (Answered("the resolver", ("remembered",)),)
        found = await names.servers.look("shop.example", "MX")
        assert found == (Answered("the resolver", ("10 mx.example.org",)),)
        names.top.trouble(NAME, Trouble.SERVFAIL, "TXT")
        silent = await names.servers.look(NAME, "TXT")
        assert [each.server for each in silent if isinstance(each, Unanswered)] == [ONE, TWO]


async def test_aliases_are_followed_to_their_own_name_servers() -> None:
    async with name_servers() as names:
        names.top.ns("keys.example", TWO)
        for server in (names.one, names.two):
            server.cname(NAME, "x.keys.example")
        names.two.txt("x.keys.example", "key")
        names.one.txt("x.keys.example", "of nobody's interest")
        found = await names.servers.look(NAME, "TXT")
        assert found == (Answered(ONE, ("of nobody's interest",)), Answered(TWO, ("key",)))
        names.one.txt("x.keys.example")
        assert await names.servers.look(NAME, "TXT") == (
            Answered(ONE, ("key",)),
            Answered(TWO, ("key",)),
        )


async def test_aliases_that_lead_round_in_circles_end() -> None:
    async with name_servers() as names:
        names.top.ns("keys.example", TWO)
        names.one.cname(NAME, "x.keys.example")
        names.two.cname("x.keys.example", "y.shop.example")
        names.two.cname(NAME, "x.keys.example")
        names.one.cname("y.shop.example", NAME)
        found = await names.servers.look(NAME, "TXT")
        assert all(isinstance(each, Answered | Unanswered) for each in found)
        assert not any(each.values for each in found if isinstance(each, Answered))


async def test_a_zone_below_has_servers_of_its_own() -> None:
    async with name_servers() as names:
        names.top.ns("_domainkey.shop.example", TWO)
        names.two.txt(NAME, "below")
        names.one.txt(NAME, "left over")
        assert await names.servers.look(NAME, "TXT") == (Answered(TWO, ("below",)),)


async def test_referrals_are_followed() -> None:
    async with name_servers() as names:
        names.one.ns("_domainkey.shop.example", TWO)
        names.one.referring.add(NAME)
        names.two.txt(NAME, "below")
        assert await names.servers.look(NAME, "TXT") == (Answered(TWO, ("below",)),)


async def test_servers_that_refer_to_each_other_are_not_asked_for_ever() -> None:
    async with name_servers() as names:
        for server, other in ((names.one, TWO), (names.two, ONE)):
            server.ns("_domainkey.shop.example", other)
            server.referring.add(NAME)
        names.top.trouble(NAME, Trouble.SERVFAIL, "TXT")
        found = await names.servers.look(NAME, "TXT")
        assert {each.reason for each in found if isinstance(each, Unanswered)} == {
            "points on and on"
        }


async def test_name_servers_at_private_addresses_are_not_asked() -> None:
    async with name_servers(allowed_networks=()) as names:
        names.top.aaaa("ns2.example.net", "::1")
        names.top.a("ns1.example.net")
        names.top.trouble(NAME, Trouble.SERVFAIL, "TXT")
        found = await names.servers.look(NAME, "TXT")
        assert found == (
            Unanswered(ONE, "it has no address"),
            Unanswered(TWO, "its address is not public"),
        )
        assert not names.one.questions
        assert not names.two.questions


async def test_a_zone_that_the_resolver_cannot_find_is_pointed_to_by_the_one_above() -> None:
    async with name_servers() as names:
        names.top.trouble("shop.example", Trouble.SERVFAIL)
        names.one.ns("shop.example", TWO)
        names.one.referring.add(NAME)
        names.two.txt(NAME, "here")
        assert await names.servers.look(NAME, "TXT") == (Answered(TWO, ("here",)),)


async def test_a_zone_that_cannot_be_found_is_a_reason() -> None:
    async with name_servers() as names:
        assert await names.servers.zone("deep.down.other.example") == Zone("example", (ONE,))
        names.top.script = lambda _: b""
        assert isinstance(await names.servers.zone("shop.test"), Failed)


async def test_servers_that_point_on_and_on_make_us_ask_so_much_and_no_more() -> None:
    async with name_servers() as names:
        told = 0

        def point(question: DNSRecord) -> bytes:
            nonlocal told
            answer = question.reply(aa=0)
            for _ in range(8):
                told += 1
                host = NS(f"ns{told}.shop.example")
                names.top.a(f"ns{told}.shop.example", names.one.host)
                answer.add_auth(RR("shop.example", QTYPE.NS, rdata=host))
            return bytes(answer.pack())

        names.one.script = names.two.script = point
        servers = names.servers
        for label in "abc":
            await servers.look(f"{label}.{NAME}", "TXT")
        asked = names.one.questions.total() + names.two.questions.total()
        assert 300 < asked <= 600
        (last, *_) = await servers.look(f"d.{NAME}", "TXT")
        assert last == Answered("the resolver", ())
        names.top.trouble(f"e.{NAME}", Trouble.REFUSED)
        (last, *_) = await servers.look(f"e.{NAME}", "TXT")
        assert isinstance(last, Unanswered)
        assert last.reason == "its servers and aliases point to too many others"


async def test_a_server_is_asked_once_whoever_points_to_it() -> None:
    async with name_servers() as names:
        names.one.ns("shop.example", ONE, TWO)
        names.one.referring.add(NAME)
        names.two.txt(NAME, "here")
        servers = names.servers
        await servers.look(NAME, "TXT")
        await servers.look(NAME, "TXT")
        assert (names.one.questions[NAME, "TXT"], names.two.questions[NAME, "TXT"]) == (1, 1)
        await servers.afresh().look(NAME, "TXT")
        assert names.two.questions[NAME, "TXT"] == 2


async def test_of_a_long_chain_of_aliases_no_more_is_followed_than_resolvers_do() -> None:
    async with name_servers() as names:
        for number in range(17):
            names.one.cname(f"{number}.shop.example", f"{number + 1}.shop.example")
        names.one.txt("17.shop.example", "here")
        names.top.ns("shop.example", ONE)
        assert await names.servers.look("1.shop.example", "TXT") == (Answered(ONE, ("here",)),)
        assert await names.servers.look("0.shop.example", "TXT") == (Answered(ONE, ()),)
