"""Sources: the local addresses that mail leaves from, and which of them a mail tries first. Pure.

A recipient has an order of preference among the sources of its stream's pool that depends on nothing but
who writes to whom and the names of the sources. So a receiver that greylists (it remembers sending address,
sender and recipient) meets the same triplet at each retry and at the next message, mail spreads evenly, and
a source that comes or goes moves only the mail that it takes or leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from app.messages import Stream
from app.networks import is_ipv6
from worker.routing.hosts import Host


@dataclass(frozen=True, slots=True)
class WarmUp:
    """How many recipients a new source may try at each site on its first, second, … day (UTC).

    Before `start` it is not used, and after the last of `ceilings` it has none.
    """

    start: date
    ceilings: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A local address of each family that it has (one at least), and the name that goes with them in EHLO."""

    name: str
    ehlo_name: str
    ipv4: str | None = None
    ipv6: str | None = None
    warm_up: WarmUp | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses it has."""
        return tuple(filter(None, (self.ipv4, self.ipv6)))

    def address_to(self, host: Host) -> str | None:
        """Return the address that speaks to `host`; None where it has none of that family."""
        return self.ipv6 if is_ipv6(host.address) else self.ipv4

    def reachable(self, hosts: Sequence[Host]) -> tuple[Host, ...]:
        """Return the hosts that it has an address for, in their order."""
        return tuple(host for host in hosts if self.address_to(host))


@dataclass(frozen=True, slots=True)
class Pool:
    """The sources that carry the mail of some streams."""

    name: str
    streams: frozenset[Stream]
    sources: tuple[Source, ...]

    def candidates(
        self, mail_from: str, recipient: str, hosts: Sequence[Host], kept: str | None = None
    ) -> tuple[Source, ...]:
        """Return the sources that can speak to any of `hosts`, the one to be tried first in front.

        That is the one called `kept`, where it is among them; the others follow by rendezvous hashing.
        """
        usable = [source for source in self.sources if source.reachable(hosts)]
        who = f"{mail_from}\0{recipient}\0"
        return tuple(
            sorted(usable, key=lambda source: (source.name != kept, _rank(who, source.name)))
        )


def _rank(who: str, source: str) -> bytes:
    return hashlib.blake2b(f"{who}{source}".encode(), digest_size=8).digest()


def by_stream(pools: Sequence[Pool]) -> Mapping[Stream, Pool]:
    """Return the pool of each stream."""
    return {stream: pool for pool in pools for stream in pool.streams}
