"""Which hosts take mail for a domain (RFC 5321 §5.1), in the order they are tried."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from itertools import chain, groupby, islice, zip_longest
from random import Random
from typing import assert_never

from app.events import Category
from app.networks import is_allowed, is_ipv6
from app.settings.delivering import DeliverySettings
from worker.outcomes.outcome import Outcome, Verdict
from worker.routing.answers import Answer, Exchanger, Failed, Found, NoData, NoSuchName
from worker.routing.hosts import Host, Route
from worker.routing.resolver import Resolver

_MOST_EXCHANGERS = 20
_MOST_EQUALS = 40
_FAR_AWAY = ("2001:500:2::c", 53)
_KEPT_SECONDS = 1.0
_MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class _Addresses:
    """What is known of the addresses of an exchanger: those to use, and why there may be no more."""

    hosts: Route = ()
    ttl: float = _KEPT_SECONDS
    failure: str = ""
    has_closed: bool = False
    needs_ipv6: bool = False


@dataclass(frozen=True, slots=True)
class _Way:
    """Hosts in groups of equal preference, best first, and when to look them up again."""

    groups: tuple[Route, ...]
    until: float


class Router:
    """Finds the way to domains. `randomness` orders exchangers and addresses that are equally good.

    `has_ipv6` tells whether there is a way to the IPv6 Internet; None finds out.
    """

    def __init__(
        self,
        resolver: Resolver,
        settings: DeliverySettings,
        randomness: Random | None = None,
        *,
        has_ipv6: bool | None = None,
    ) -> None:
        self._resolver = resolver
        self._port = settings.smtp_port
        self._allowed = settings.allowed_networks
        self._most_addresses = settings.addresses_per_attempt
        self._own = frozenset(name.lower().strip(".") for name in settings.own_hosts)
        self._catch_all = _parse_catch_all(settings.catch_all) if settings.catch_all else None
        self._random = randomness or Random()
        is_connected = _reaches_ipv6() if has_ipv6 is None else has_ipv6
        self._uses_ipv6 = is_connected or any(net.version == 6 for net in self._allowed)
        self._ways: dict[str, _Way] = {}

    async def route(self, domain: str) -> Route | Outcome:
        """Return the hosts of a domain (given as A-labels), or the outcome if there is no way to it."""
        if self._catch_all:
            return await _locate(*self._catch_all)
        way = self._ways.get(domain)
        if way is None or way.until < time.monotonic():
            found = await self._find_in_time(domain)
            if isinstance(found, Outcome):
                return found
            self._keep(domain, way := found)
        return self._ordered(way)

    async def exchangers(self, domain: str) -> tuple[str, ...]:
        """Return the names of a domain's exchangers, for telling its site; itself where it has none.

        They are all there, since which of many a mail tries is left to chance.
        """
        if self._catch_all:
            return (self._catch_all[0],)
        answer = await self._resolver.exchangers(domain)
        records = (
            [record for record in answer.records if record.name]
            if isinstance(answer, Found)
            else []
        )
        records.sort(key=lambda record: (record.preference, record.name))
        return tuple(record.name for record in records) or (domain,)

    async def _find_in_time(self, domain: str) -> _Way | Outcome:
        try:
            async with asyncio.timeout(self._resolver.budget_seconds):
                return await self._find(domain)
        except TimeoutError:
            return _unreached(f"4.4.3 the DNS did not tell the hosts of {domain} in time")

    def _keep(self, domain: str, way: _Way) -> None:
        """Keep a way for a second at most: a busy lane asks for each mail, and putting it together costs time."""
        if len(self._ways) >= _MOST_KEPT:
            self._ways.clear()
        self._ways[domain] = way

    def _ordered(self, way: _Way) -> Route:
        """Return the hosts to try, each address once: what it did not take it takes under no other name."""
        by_address: dict[str, Host] = {}
        for host in chain.from_iterable(self._mixed(group) for group in way.groups):
            by_address.setdefault(host.address, host)
        return tuple(islice(by_address.values(), self._most_addresses))

    async def _find(self, domain: str) -> _Way | Outcome:
        answer = await self._resolver.exchangers(domain)
        match answer:
            case Found():
                return await self._by_exchangers(domain, answer)
            case NoData():
                # RFC 5321 §5.1: without any MX record the domain is its own exchanger.
                return await self._by_exchangers(domain, Found((Exchanger(0, domain),), answer.ttl))
            case NoSuchName():
                unknown = _bounced(f"5.1.2 the domain {domain} does not exist", Category.RECIPIENT)
                return replace(unknown, needs_second_look=True)
            case Failed():
                return _unreached(
                    f"4.4.3 the DNS cannot tell the hosts of {domain}: {answer.reason}"
                )
            case _:
                assert_never(answer)

    async def _by_exchangers(self, domain: str, answer: Found[Exchanger]) -> _Way | Outcome:
        # RFC 7505 §3: an empty name alone means that the domain takes no mail; beside others it is an error.
        exchangers = [record for record in answer.records if record.name]
        if not exchangers:
            return _bounced(
                f"5.1.10 the domain {domain} takes no mail (null MX)", Category.RECIPIENT
            )
        exchangers = self._without_us(exchangers)
        if not exchangers:
            return _bounced(
                f"5.4.6 mail for {domain} would come back to ourselves", Category.NETWORK
            )
        self._random.shuffle(exchangers)
        exchangers.sort(key=_preference)
        found: list[_Addresses] = []
        groups: list[Route] = []
        for _, equals in groupby(exchangers[:_MOST_EXCHANGERS], key=_preference):
            addresses = await asyncio.gather(*map(self._look_up, equals))
            found += addresses
            hosts = tuple(chain.from_iterable(each.hosts for each in addresses))
            groups.append(self._mixed(hosts)[:_MOST_EQUALS])
            if sum(map(len, groups)) >= self._most_addresses:
                break
        if not any(groups):
            return _no_way(domain, found)
        ttl = min(_KEPT_SECONDS, answer.ttl, *(each.ttl for each in found))
        return _Way(tuple(groups), time.monotonic() + ttl)

    def _without_us(self, exchangers: list[Exchanger]) -> list[Exchanger]:
        """Leave out ourselves and those that are no nearer: mail would go round (RFC 5321 §5.1)."""
        ours = [record.preference for record in exchangers if record.name in self._own]
        if not ours:
            return exchangers
        return [record for record in exchangers if record.preference < min(ours)]

    def _mixed(self, hosts: Route) -> Route:
        """Shuffle equals (RFC 5321 §5.1) and let the families alternate, since one of them may lead nowhere."""
        if len(hosts) < 2:
            return hosts
        shuffled = self._random.sample(hosts, len(hosts))
        ipv6 = [host for host in shuffled if is_ipv6(host.address)]
        ipv4 = [host for host in shuffled if not is_ipv6(host.address)]
        first, second = (ipv6, ipv4) if is_ipv6(shuffled[0].address) else (ipv4, ipv6)
        return tuple(host for pair in zip_longest(first, second) for host in pair if host)

    async def _look_up(self, exchanger: Exchanger) -> _Addresses:
        if _is_literal(exchanger.name):
            return _Addresses()  # an MX record names a host, never an address (RFC 1035 §3.3.9)
        if self._uses_ipv6:
            answers = await asyncio.gather(
                self._resolver.ipv4(exchanger.name), self._resolver.ipv6(exchanger.name)
            )
            return self._usable(exchanger, answers)
        usable = self._usable(exchanger, (await self._resolver.ipv4(exchanger.name),))
        if usable.hosts or usable.failure or usable.has_closed:
            return usable
        ipv6 = self._usable(exchanger, (await self._resolver.ipv6(exchanger.name),))
        return replace(ipv6, hosts=(), needs_ipv6=bool(ipv6.hosts))

    def _usable(self, exchanger: Exchanger, answers: Sequence[Answer[str]]) -> _Addresses:
        found = [answer for answer in answers if isinstance(answer, Found)]
        addresses = [address for answer in found for address in answer.records]
        failures = [answer.reason for answer in answers if isinstance(answer, Failed)]
        hosts = tuple(
            Host(exchanger.name, address, exchanger.preference, self._port)
            for address in addresses
            if is_allowed(address, self._allowed)
        )
        return _Addresses(
            hosts,
            ttl=min([answer.ttl for answer in found], default=_KEPT_SECONDS),
            failure=next(iter(failures), ""),
            has_closed=len(hosts) < len(addresses),
        )


def _reaches_ipv6() -> bool:
    """Tell whether this machine has a way to the IPv6 Internet. Nothing is sent to find out."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(_FAR_AWAY)
    except OSError:
        return False
    return True


def _no_way(domain: str, found: Sequence[_Addresses]) -> Outcome:
    """Say why no exchanger can be used; the domain's own address is no way out (RFC 5321 §5.1)."""
    failures = [each.failure for each in found if each.failure]
    if failures:
        return _unreached(f"4.4.3 the DNS cannot tell the addresses of {domain}: {failures[0]}")
    if any(each.needs_ipv6 for each in found):
        return _unreached(
            f"4.4.4 the hosts of {domain} have IPv6 addresses only, and we have no IPv6"
        )
    if any(each.has_closed for each in found):
        text = f"5.4.4 the hosts of {domain} have private or reserved addresses only, which are not connected to"
        return _bounced(text, Category.NETWORK)
    return _bounced(f"5.4.4 no host that takes mail for {domain} has an address", Category.NETWORK)


def _bounced(text: str, category: Category) -> Outcome:
    return Outcome(Verdict.BOUNCED, category, None, text, None)


def _unreached(text: str) -> Outcome:
    return Outcome(Verdict.UNREACHED, Category.NETWORK, None, text, None)


def _preference(exchanger: Exchanger) -> int:
    return exchanger.preference


def _is_literal(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _parse_catch_all(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


async def _locate(name: str, port: int) -> Route | Outcome:
    """Find the catch-all host by the means of the system: it may stand in /etc/hosts."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return _unreached(f"4.4.3 the catch-all host {name} cannot be found: {error.strerror}")
    return tuple(Host(name, str(address[0]), 0, port) for *_, address in found)
