"""The outlook of a mail that nobody sends yet: hosts, TLS policies and DMARC, found as for sending, but no host is
connected to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.errors import SpoolError
from app.identity.names import with_parents
from app.messages import TlsWish
from app.rehearsal.prospects import (
    PROSPECT,
    Exchange,
    Obstacle,
    Prospect,
    Published,
    Trouble,
    Way,
)
from worker.outcomes.outcome import Outcome
from worker.policies.protection import Protection
from worker.routing.answers import Failed, Found
from worker.routing.hosts import Host
from worker.routing.mx import Router
from worker.routing.resolver import Resolver

_AT_A_TIME = 50
"""Domains that one worker looks up for rehearsals at a time."""
_MOST_PARENTS = 5
_OBSTACLES = {"5.1.2": Obstacle.UNKNOWN, "5.1.10": Obstacle.TAKES_NO_MAIL, "4.4.3": Obstacle.DNS}
"""By the status that a try would have (RFC 3463)."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Looks ahead. Built once, at the start."""

    resolver: Resolver
    router: Router
    protection: Protection
    budget_s: float
    places: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(_AT_A_TIME), repr=False
    )

    async def answer(self, names: Sequence[str]) -> bytes:
        """Return what is found in time of the author's domain, by a wish for TLS, and of those of recipients."""
        author, wish, *domains = names
        dmarc = asyncio.ensure_future(self._published(author))
        ways = [asyncio.ensure_future(self._way(domain, TlsWish(wish))) for domain in domains]
        looking = [dmarc, *ways]
        try:
            await asyncio.wait(looking, timeout=self.budget_s)
            found = [way.result() for way in ways if way.done()]
            known = tuple(way for way in found if way)
            return PROSPECT.encode(Prospect(known, dmarc.result() if dmarc.done() else None))
        finally:
            for look in looking:
                look.cancel()

    async def _way(self, domain: str, wish: TlsWish) -> Way | None:
        """Return the way to a domain; None where Redis cannot tell its MTA-STS policy."""
        async with self.places:
            route = await self.router.route(domain)
            if isinstance(route, Outcome):
                return Way(domain, trouble=_trouble(route))
            try:
                hosts = await self.protection.protect(domain, route, wish)
            except SpoolError:
                return None
        return Way(domain, tuple({host.name: _exchange(host) for host in hosts}.values()))

    async def _published(self, author: str) -> Published | None:
        """Look for the DMARC record of a domain, then above it; None where the DNS fails."""
        for name in [author, *list(with_parents(author))[1:][-_MOST_PARENTS:]]:
            place = f"_dmarc.{name}"
            answer = await self.resolver.texts(place)
            if isinstance(answer, Failed):
                return None
            texts = answer.records if isinstance(answer, Found) else ()
            values = tuple(text.decode("utf-8", "replace") for text in texts)
            if any(value.lstrip().lower().startswith("v=dmarc1") for value in values):
                return Published(place, values, is_own=name == author)
        return Published("", ())


def _trouble(outcome: Outcome) -> Trouble:
    status, _, text = outcome.text.partition(" ")
    return Trouble(_OBSTACLES.get(status, Obstacle.UNREACHABLE), text)


def _exchange(host: Host) -> Exchange:
    bar = host.policy.bar
    return Exchange(host.name, host.preference, host.policy.origin, bar.text if bar else "")
