"""From a domain to its hosts: each answer the DNS may give, and the way it leads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import ip_network
from random import Random

import pytest

from app.events import Category
from app.settings.delivering import DeliverySettings, DnsSettings
from tests.fakes.dns import DnsServer, Trouble
from worker.outcomes.outcome import Outcome, Verdict
from worker.routing.hosts import Host, Route
from worker.routing.mx import Router
from worker.routing.resolver import Resolver

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.fixture
async def router(dns: DnsServer) -> AsyncIterator[Router]:
    async with _resolver(dns) as resolver:
        yield Router(resolver, _settings())


def _resolver(dns: DnsServer, *, patience: float = 10, budget: float = 20) -> Resolver:
    """Return a resolver that waits so many seconds for a server: long where a test is not about silence."""
    return Resolver(
        DnsSettings(
            nameservers=(dns.address,),
            query_timeout=timedelta(seconds=patience),
            budget=timedelta(seconds=budget),
        )
    )


def _settings(**changes: object) -> DeliverySettings:
    return DeliverySettings(
        ehlo_name="client.example.org", allowed_networks=LOOPBACK, smtp_port=2525
    ).model_copy(update=changes)


def _hosts(route: Route | Outcome) -> list[tuple[str, str, int]]:
    assert isinstance(route, tuple), route
    return [(host.name, host.address, host.preference) for host in route]


def _outcome(route: Route | Outcome) -> Outcome:
    assert isinstance(route, Outcome), route
    assert route.reply is None
    assert route.peer is None
    return route


async def test_exchangers_are_sorted_by_preference(dns: DnsServer, router: Router) -> None:
    preferences = (20, 5, 100, 10, 0)
    dns.mx("x.example", *((number, f"MX{number}.x.example") for number in preferences))
    for number in preferences:
        dns.a(f"mx{number}.x.example", f"127.0.0.{number + 1}")
    route = await router.route("x.example")
    assert _hosts(route) == [
        (f"mx{number}.x.example", f"127.0.0.{number + 1}", number) for number in sorted(preferences)
    ]
    assert isinstance(route, tuple)
    assert {host.port for host in route} == {2525}


async def test_equal_exchangers_are_shuffled(dns: DnsServer) -> None:
    dns.mx("x.example", *((10, f"mx{number}.x.example") for number in range(1, 5)))
    for number in range(1, 5):
        dns.a(f"mx{number}.x.example", f"127.0.0.{number}")
    firsts = set()
    async with _resolver(dns) as resolver:
        for seed in range(40):
            route = await Router(resolver, _settings(), Random(seed)).route("x.example")
            assert len(_hosts(route)) == 4
            firsts.add(_hosts(route)[0][1])
    assert firsts == {f"127.0.0.{number}" for number in range(1, 5)}


async def test_without_mx_the_domain_is_its_own_exchanger(dns: DnsServer, router: Router) -> None:
    dns.a("x.example", "127.0.0.2")
    assert _hosts(await router.route("x.example")) == [("x.example", "127.0.0.2", 0)]


async def test_a_domain_that_does_not_exist_bounces(router: Router) -> None:
    outcome = _outcome(await router.route("nowhere.example"))
    assert (outcome.verdict, outcome.category) == (Verdict.BOUNCED, Category.RECIPIENT)
    assert outcome.text == "5.1.2 the domain nowhere.example does not exist"


@pytest.mark.parametrize("length", [64, 300])
async def test_a_domain_that_cannot_be_a_name_bounces(router: Router, length: int) -> None:
    assert _outcome(await router.route("x" * length + ".example")).text.startswith("5.1.2 ")


async def test_a_null_mx_bounces_without_asking_for_addresses(
    dns: DnsServer, router: Router
) -> None:
    dns.mx("x.example", (0, "."))
    dns.a("x.example", "127.0.0.2")
    outcome = _outcome(await router.route("x.example"))
    assert (outcome.verdict, outcome.category) == (Verdict.BOUNCED, Category.RECIPIENT)
    assert outcome.text.startswith("5.1.10 ")
    assert set(dns.questions) == {("x.example", "MX")}


async def test_a_null_mx_beside_others_is_ignored(dns: DnsServer, router: Router) -> None:
    dns.mx("x.example", (0, "."), (10, "mx.x.example"))
    dns.a("mx.x.example", "127.0.0.2")
    assert _hosts(await router.route("x.example")) == [("mx.x.example", "127.0.0.2", 10)]


@pytest.mark.parametrize("trouble", [bad for bad in Trouble if bad is not Trouble.TRUNCATED])
async def test_a_dns_that_fails_is_no_bounce(dns: DnsServer, trouble: Trouble) -> None:
    dns.mx("x.example", (10, "mx.x.example"))
    dns.a("x.example", "127.0.0.2")
    dns.trouble("x.example", trouble, "MX")
    async with _resolver(dns, patience=0.2) as resolver:
        outcome = _outcome(await Router(resolver, _settings()).route("x.example"))
    assert (outcome.verdict, outcome.category) == (Verdict.UNREACHED, Category.NETWORK)
    assert outcome.text.startswith("4.4.3 ")
    assert ("x.example", "A") not in dns.questions


@pytest.mark.parametrize("trouble", [Trouble.SERVFAIL, Trouble.REFUSED, Trouble.SILENCE])
async def test_exchangers_whose_addresses_fail_are_no_bounce(
    dns: DnsServer, trouble: Trouble
) -> None:
    dns.mx("x.example", (10, "mx1.x.example"), (20, "mx2.x.example"))
    dns.trouble("mx1.x.example", trouble)
    async with _resolver(dns, patience=0.2) as resolver:
        outcome = _outcome(await Router(resolver, _settings()).route("x.example"))
    assert (outcome.verdict, outcome.text[:5]) == (Verdict.UNREACHED, "4.4.3")


async def test_one_exchanger_without_address_does_not_fail_the_domain(
    dns: DnsServer, router: Router
) -> None:
    dns.mx("x.example", (10, "gone.x.example"), (20, "broken.x.example"), (30, "mx.x.example"))
    dns.trouble("broken.x.example", Trouble.SERVFAIL)
    dns.a("mx.x.example", "127.0.0.2")
    assert _hosts(await router.route("x.example")) == [("mx.x.example", "127.0.0.2", 30)]


async def test_exchangers_without_any_address_bounce_and_the_domain_is_not_used(
    dns: DnsServer, router: Router
) -> None:
    dns.mx("x.example", (10, "gone.x.example"), (20, "empty.x.example"))
    dns.mx("empty.x.example", (1, "other.example"))
    dns.a("x.example", "127.0.0.2")
    outcome = _outcome(await router.route("x.example"))
    assert (outcome.verdict, outcome.text[:5]) == (Verdict.BOUNCED, "5.4.4")
    assert ("x.example", "A") not in dns.questions


async def test_a_domain_without_mx_and_address_bounces(dns: DnsServer, router: Router) -> None:
    dns.a("below.x.example", "127.0.0.2")
    outcome = _outcome(await router.route("x.example"))
    assert (outcome.verdict, outcome.text[:5]) == (Verdict.BOUNCED, "5.4.4")


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "0.0.0.0", "192.168.0.1"])
async def test_private_addresses_bounce(dns: DnsServer, router: Router, address: str) -> None:
    dns.mx("x.example", (10, "mx.x.example"))
    dns.a("mx.x.example", address)
    outcome = _outcome(await router.route("x.example"))
    assert (outcome.verdict, outcome.category) == (Verdict.BOUNCED, Category.NETWORK)
    assert outcome.text.startswith("5.4.4 ")
    assert "private" in outcome.text


@pytest.mark.parametrize(
    "address", ["::ffff:10.0.0.1", "64:ff9b::a00:1", "fe80::1", "fd00::1", "2002:a00:1::"]
)
async def test_private_ipv6_addresses_bounce(dns: DnsServer, router: Router, address: str) -> None:
    dns.mx("x.example", (10, "mx.x.example"))
    dns.aaaa("mx.x.example", address)
    assert _outcome(await router.route("x.example")).verdict is Verdict.BOUNCED


async def test_loopback_is_not_used_unless_the_settings_name_it(dns: DnsServer) -> None:
    dns.mx("x.example", (10, "localhost"))
    dns.a("localhost", "127.0.0.1")
    async with _resolver(dns) as resolver:
        router = Router(resolver, _settings(allowed_networks=()))
        assert _outcome(await router.route("x.example")).verdict is Verdict.BOUNCED


async def test_private_addresses_among_others_are_left_out(dns: DnsServer, router: Router) -> None:
    dns.mx("x.example", (10, "mx.x.example"))
    dns.a("mx.x.example", "10.0.0.1", "127.0.0.2")
    assert _hosts(await router.route("x.example")) == [("mx.x.example", "127.0.0.2", 10)]


async def test_private_addresses_of_one_exchanger_leave_the_next(
    dns: DnsServer, router: Router
) -> None:
    dns.mx("x.example", (10, "localhost"), (20, "mx.x.example"))
    dns.a("localhost", "0.0.0.0", "10.0.0.1")
    dns.a("mx.x.example", "127.0.0.2")
    assert _hosts(await router.route("x.example")) == [("mx.x.example", "127.0.0.2", 20)]


async def test_we_and_those_no_nearer_than_we_are_left_out_of_the_exchangers(
    dns: DnsServer,
) -> None:
    dns.mx("x.example", (5, "a.example"), (10, "b.example"), (10, "US.example"), (20, "c.example"))
    for number, name in enumerate(("a", "b", "us", "c"), start=1):
        dns.a(f"{name}.example", f"127.0.0.{number}")
    async with _resolver(dns) as resolver:
        router = Router(resolver, _settings(own_hosts=("us.example", "other.example")))
        assert _hosts(await router.route("x.example")) == [("a.example", "127.0.0.1", 5)]


async def test_mail_of_which_we_are_the_nearest_exchanger_bounces(dns: DnsServer) -> None:
    dns.mx("x.example", (5, "us.example"), (20, "c.example"))
    dns.a("us.example", "127.0.0.1")
    dns.a("c.example", "127.0.0.2")
    async with _resolver(dns) as resolver:
        router = Router(resolver, _settings(own_hosts=("Us.Example.",)))
        outcome = _outcome(await router.route("x.example"))
    assert (outcome.verdict, outcome.text[:5]) == (Verdict.BOUNCED, "5.4.6")


async def test_an_address_under_two_names_is_tried_once(dns: DnsServer, router: Router) -> None:
    dns.mx("x.example", (10, "a.example"), (20, "b.example"), (30, "a.example"))
    dns.a("a.example", "127.0.0.1")
    dns.a("b.example", "127.0.0.1", "127.0.0.2")
    assert _hosts(await router.route("x.example")) == [
        ("a.example", "127.0.0.1", 10),
        ("b.example", "127.0.0.2", 20),
    ]


async def test_an_address_in_place_of_a_host_name_is_not_used(
    dns: DnsServer, router: Router
) -> None:
    dns.mx("x.example", (10, "127.0.0.2"))
    dns.a("127.0.0.2", "127.0.0.2")
    assert _outcome(await router.route("x.example")).verdict is Verdict.BOUNCED


async def test_an_alias_of_the_domain_is_followed(dns: DnsServer, router: Router) -> None:
    dns.cname("x.example", "y.example")
    dns.mx("y.example", (10, "mx.y.example"))
    dns.cname("mx.y.example", "z.example")
    dns.a("z.example", "127.0.0.2")
    assert _hosts(await router.route("x.example")) == [("mx.y.example", "127.0.0.2", 10)]


async def test_a_loop_of_aliases_is_no_bounce(dns: DnsServer, router: Router) -> None:
    dns.cname("x.example", "y.example")
    dns.cname("y.example", "x.example")
    assert _outcome(await router.route("x.example")).verdict is Verdict.UNREACHED


async def test_both_address_families_are_tried_in_turn(dns: DnsServer, router: Router) -> None:
    dns.mx("x.example", (10, "mx.x.example"))
    dns.a("mx.x.example", *(f"127.0.0.{number}" for number in range(1, 9)))
    dns.aaaa("mx.x.example", "::1")
    addresses = [address for _, address, _ in _hosts(await router.route("x.example"))]
    assert "::1" in addresses[:2]
    assert len(addresses) == 5


async def test_a_slow_dns_ends_with_the_budget(dns: DnsServer) -> None:
    dns.mx("x.example", (10, "mx.x.example"))
    dns.trouble("mx.x.example", Trouble.SILENCE)
    async with _resolver(dns, budget=0.1) as resolver:
        outcome = _outcome(await Router(resolver, _settings()).route("x.example"))
    assert (outcome.verdict, outcome.text[:5]) == (Verdict.UNREACHED, "4.4.3")


async def test_without_ipv6_only_ipv4_is_used_and_ipv6_alone_is_no_bounce(
    dns: DnsServer,
) -> None:
    dns.mx("both.example", (10, "mx.both.example"))
    dns.a("mx.both.example", "127.0.0.2")
    dns.aaaa("mx.both.example", "2606:4700::1111")
    dns.mx("six.example", (10, "mx.six.example"))
    dns.aaaa("mx.six.example", "2606:4700::1111")
    async with _resolver(dns) as resolver:
        chosen = _settings(allowed_networks=LOOPBACK[:1])
        router = Router(resolver, chosen, has_ipv6=False)
        assert _hosts(await router.route("both.example")) == [("mx.both.example", "127.0.0.2", 10)]
        outcome = _outcome(await router.route("six.example"))
    assert (outcome.verdict, outcome.text[:5]) == (Verdict.UNREACHED, "4.4.4")


@pytest.mark.parametrize(
    ("catch_all", "address"),
    [("127.0.0.9:2526", "127.0.0.9"), ("[::1]:2526", "::1"), ("localhost:2526", "127.0.0.1")],
)
async def test_a_catch_all_takes_everything_without_dns(
    dns: DnsServer, catch_all: str, address: str
) -> None:
    async with _resolver(dns) as resolver:
        route = await Router(resolver, _settings(catch_all=catch_all)).route("x.example")
    assert isinstance(route, tuple)
    assert Host(catch_all.rpartition(":")[0].strip("[]"), address, 0, 2526) in route
    assert not dns.questions


async def test_a_way_is_put_together_once_and_shuffled_each_time(
    dns: DnsServer, router: Router
) -> None:
    dns.ttl = 60
    dns.mx("x.example", (10, "mx.x.example"))
    dns.a("mx.x.example", "127.0.0.1", "127.0.0.2")
    firsts = {_hosts(await router.route("x.example"))[0][1] for _ in range(60)}
    assert firsts == {"127.0.0.1", "127.0.0.2"}
    assert dns.questions["x.example", "MX"] == 1


async def test_a_way_without_ttl_is_found_anew(dns: DnsServer, router: Router) -> None:
    dns.a("x.example", "127.0.0.1")
    await router.route("x.example")
    dns.a("x.example", "127.0.0.2")
    assert _hosts(await router.route("x.example")) == [("x.example", "127.0.0.2", 0)]
