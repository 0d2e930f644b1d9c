"""What the name servers of a domain have of a name: each of them is asked, not a resolver that may remember.

The way there: the nearest zone above the name and its servers, by the resolver of mail; then each server itself.
Where they point to a zone further down, its servers. Where a name is an alias, the servers of that.
A domain's records may name any address as its servers: only public ones are asked (`domains.allowed_networks`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.identity.findings import Answered, Sighting, Unanswered
from app.networks import is_allowed
from app.settings.domains import DomainSettings
from worker.routing.answers import Answer, Exchanger, Failed, Found
from worker.routing.direct import Kind, Place, Told, ask
from worker.routing.resolver import Resolver

R = TypeVar("R")

_MOST_SERVERS = 8
_MOST_STEPS = 4
"""Referrals and aliases that are followed one after the other."""
_AT_A_TIME = 24
"""Questions of one check that are under way: servers that are silent hold up no other domain."""
_MOST_QUESTIONS = 600
"""What one check asks at most, several times what real domains need: their servers may point to others, and on and
on, and make us ask whom they like."""
_RESOLVER = "the resolver"
_ENOUGH = Failed("its servers and aliases point to too many others")


@dataclass(frozen=True, slots=True)
class Zone:
    """The nearest zone above a name, and the names of its servers."""

    name: str
    servers: tuple[str, ...]


class NameServers:
    """Asks name servers for one check, nobody twice for the same. Nothing about the DNS is raised."""

    def __init__(self, resolver: Resolver, settings: DomainSettings, query_s: float) -> None:
        """`query_s` is how long one server may take for one question."""
        self._resolver = resolver
        self._settings = settings
        self._query_s = query_s
        self._places = asyncio.Semaphore(_AT_A_TIME)
        self._left = _MOST_QUESTIONS
        self._asked: dict[tuple[str, str, Kind], asyncio.Task[Told | Failed]] = {}

    def afresh(self) -> NameServers:
        """Return the same for another check, which has asked nothing yet."""
        return NameServers(self._resolver, self._settings, self._query_s)

    async def zone(self, name: str) -> Zone | Failed:
        """Return the nearest zone at or above a name, the top-level one if there is no other.

        Where the resolver knows nothing of a zone, the servers of the one above point to those that should.
        """
        failed = Failed("no zone was found")
        while name:
            if not self._may_ask():
                return _ENOUGH
            answer = await self._resolver.nameservers(name)
            if isinstance(answer, Failed):
                failed = answer
            if isinstance(answer, Found) and answer.owner == name:
                return Zone(name, answer.records[:_MOST_SERVERS])
            name = name.partition(".")[2]
        return failed

    async def look(self, name: str, kind: Kind) -> tuple[Sighting, ...]:
        """Return what each name server has of a name.

        Where none of them can be asked by us (a firewall may stand in between), the resolver is, which may
        remember what was there before.
        """
        found = await self._look(name, kind, _MOST_STEPS)
        if any(isinstance(each, Answered) for each in found):
            return found
        known = await self._remembered(name, kind)
        return known or found

    async def _look(self, name: str, kind: Kind, steps: int) -> tuple[Sighting, ...]:
        zone = await self.zone(name)
        if isinstance(zone, Failed):
            return (Unanswered(f"the zone of {name}", zone.reason),)
        return await self._ask_all(zone.servers, name, kind, steps)

    async def _ask_all(
        self, servers: Sequence[str], name: str, kind: Kind, steps: int
    ) -> tuple[Sighting, ...]:
        found = await asyncio.gather(
            *(self._ask(server, name, kind, steps) for server in servers[:_MOST_SERVERS])
        )
        return tuple({each.server: each for sightings in found for each in sightings}.values())

    async def _ask(self, server: str, name: str, kind: Kind, steps: int) -> tuple[Sighting, ...]:
        told = await self._ask_one(server, name, kind)
        if isinstance(told, Failed):
            return (Unanswered(server, told.reason),)
        if not (told.referral or told.alias):
            return (Answered(server, told.values),)
        if steps == 0:
            return (Unanswered(server, "points on and on"),)
        if told.referral:
            return await self._ask_all(told.referral, name, kind, steps - 1)
        return _by_alias(server, await self._look(told.alias, kind, steps - 1))

    async def _ask_one(self, server: str, name: str, kind: Kind) -> Told | Failed:
        """Ask a server, or wait for the answer to the same question; whoever is cancelled ends it for all."""
        asking = self._asked.get((server, name, kind))
        if asking is None:
            if not self._may_ask():
                return _ENOUGH
            asking = asyncio.ensure_future(self._ask_anew(server, name, kind))
            self._asked[server, name, kind] = asking
        return await asking

    def _may_ask(self) -> bool:
        """Take one question from what is left."""
        self._left -= 1
        return self._left >= 0

    async def _ask_anew(self, server: str, name: str, kind: Kind) -> Told | Failed:
        async with self._places:
            address = await self._address(server)
            if isinstance(address, Failed):
                return address
            place = Place(address, self._settings.nameserver_port)
            return await ask(place, name, kind, self._query_s)

    async def _address(self, server: str) -> str | Failed:
        """Return an address of a server that may be asked, of IPv4 if it has one."""
        is_closed = False
        for ask_for in (self._resolver.ipv4, self._resolver.ipv6):
            answer = await ask_for(server)
            for address in answer.records if isinstance(answer, Found) else ():
                if is_allowed(address, self._settings.allowed_networks):
                    return address
                is_closed = True
        return Failed("its address is not public" if is_closed else "it has no address")

    async def _remembered(self, name: str, kind: Kind) -> tuple[Sighting, ...]:
        if kind == "TXT":
            texts = await self._resolver.texts(name)
            values = [text.decode("utf-8", "replace") for text in _records(texts)]
            return () if isinstance(texts, Failed) else (Answered(_RESOLVER, tuple(values)),)
        hosts: Answer[Exchanger] = await self._resolver.exchangers(name)
        values = [f"{host.preference} {host.name}" for host in _records(hosts)]
        return () if isinstance(hosts, Failed) else (Answered(_RESOLVER, tuple(values)),)


def _records(answer: Answer[R]) -> tuple[R, ...]:
    return answer.records if isinstance(answer, Found) else ()


def _by_alias(server: str, behind: Sequence[Sighting]) -> tuple[Sighting, ...]:
    """Tell what stands behind an alias as what the server has that named it; servers there may disagree too."""
    sets = list(dict.fromkeys(each.values for each in behind if isinstance(each, Answered)))
    if not sets:
        reasons = [each.reason for each in behind if isinstance(each, Unanswered)]
        return (Unanswered(server, f"what it is an alias of cannot be asked for: {reasons[0]}"),)
    if len(sets) == 1:
        return (Answered(server, sets[0]),)
    return tuple(each for each in behind if isinstance(each, Answered))
