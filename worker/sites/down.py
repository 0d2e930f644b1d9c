"""Addresses that could not be connected to a moment ago (RFC 5321 §4.5.4.1 wants them remembered).

Each process learns for itself: what one machine cannot reach another may. A host that is down is tried
last, not never, so that nothing waits for our memory to fade.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from worker.routing.hosts import Host
from worker.sites.lately import Lately


class DownHosts:
    """Remembers addresses that are down, for `length_s` seconds each."""

    def __init__(self, length_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Know of none; `clock` counts seconds."""
        self._down = Lately[str, bool](length_s, clock)

    def remember(self, host: Host) -> None:
        """Note that a connection to this address failed."""
        self._down.remember(host.address, True)

    def forget(self, host: Host) -> None:
        """Note that this address answers."""
        self._down.forget(host.address)

    def last(self, hosts: Sequence[Host]) -> Sequence[Host]:
        """Return the hosts with those that are down behind all others, else in their order."""
        if not self._down:
            return hosts
        return sorted(hosts, key=lambda host: self._down.recall(host.address) is not None)
