"""From hosts to hosts with their policies: asks DANE and MTA-STS, and lets `policy` decide."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from app.messages import TlsWish
from app.settings import Settings
from worker.policies.dane import dane_of, is_signed
from worker.policies.policy import Dane, Policy, Terms, decide
from worker.policies.policybook import PolicyBook
from worker.routing.answers import Answer, Exchanger, Failed, NoData
from worker.routing.hosts import Host, Route
from worker.routing.resolver import Resolver

_KEPT_S = 1.0
_MOST_KEPT = 10_000
_UNSIGNED = NoData(0)
"""What no resolver that could be believed has said."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """The policies of a domain's hosts for messages of one wish."""

    policies: dict[str, Policy]
    until: float


class Protection:
    """Gives each host of a route the policy that holds for a domain and a message."""

    def __init__(self, resolver: Resolver, book: PolicyBook, settings: Settings) -> None:
        """Ask `book` for MTA-STS policies, and the resolver for TLSA records if it validates."""
        self._resolver = resolver
        self._book = book
        self._is_validated = settings.dns.validating
        self._knows_sts = settings.tls.mta_sts
        self._plain = frozenset(name.lower().strip(".") for name in settings.tls.plain_domains)
        self._is_caught = settings.delivery.catch_all is not None
        self._kept: dict[tuple[str, TlsWish], _Kept] = {}

    async def protect(self, domain: str, route: Route, wish: TlsWish) -> Route:
        """Return the hosts with their policies, in their order. Raises SpoolError where a policy may be unknown.

        Mail for the catch-all host goes there whatever its recipients' domains ask for.
        """
        if self._is_caught or wish is TlsWish.OPTIONAL:
            return route
        policies = self._recall(domain, route, wish)
        if policies is None:
            policies = await self._find(domain, route, wish)
            self._keep((domain, wish), policies)
        return tuple(replace(host, policy=policies[host.name]) for host in route)

    def _recall(
        self, domain: str, route: Iterable[Host], wish: TlsWish
    ) -> dict[str, Policy] | None:
        kept = self._kept.get((domain, wish))
        if kept is None or kept.until < time.monotonic():
            return None
        return kept.policies if all(host.name in kept.policies for host in route) else None

    def _keep(self, key: tuple[str, TlsWish], policies: dict[str, Policy]) -> None:
        """Keep policies for a second: a busy lane asks for each mail."""
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[key] = _Kept(policies, time.monotonic() + _KEPT_S)

    async def _find(self, domain: str, route: Route, wish: TlsWish) -> dict[str, Policy]:
        hosts = {host.name: host for host in route}
        listed = await self._resolver.exchangers(domain) if self._is_validated else _UNSIGNED
        found = await self._dane_of_all(domain, hosts, listed)
        sts = await self._book.policy(domain) if self._knows_sts else None
        terms = Terms(
            domain,
            "",
            sts,
            is_signed=is_signed(listed),
            is_plain=domain in self._plain,
            is_unsure=self._book.is_unsure(domain),
        )
        return {
            name: decide(replace(terms, host=name, dane=found.get(name)), wish) for name in hosts
        }

    async def _dane_of_all(
        self, domain: str, hosts: Mapping[str, Host], listed: Answer[Exchanger]
    ) -> Mapping[str, Dane | Failed | None]:
        """Return what DANE says of each host: that nobody can tell, where nobody can tell their list."""
        if isinstance(listed, Failed):
            return dict.fromkeys(hosts, listed)
        if not is_signed(listed):
            return {}
        found = await asyncio.gather(*(self._dane(domain, host) for host in hosts.values()))
        return dict(zip(hosts, found, strict=True))

    async def _dane(self, domain: str, host: Host) -> Dane | Failed | None:
        try:
            async with asyncio.timeout(self._resolver.budget_seconds):
                return await dane_of(self._resolver, domain, host)
        except TimeoutError:
            return Failed("no answer came in time")
