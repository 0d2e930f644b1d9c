"""Addresses that could not be connected to a moment ago (RFC 5321 §4.5.4.1 wants them remembered).

Each process learns for itself: what one machine cannot reach another may. A host that is down is tried
last, not never, so that nothing waits for our memory to fade.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from worker.routing.hosts import Host

_MOST_REMEMBERED = 10_000


class DownHosts:
    """Remembers addresses that are down, for `length_s` seconds each."""

    def __init__(self, length_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Know of none; `clock` counts seconds."""
        self._length_s = length_s
        self._clock = clock
        self._until: dict[str, float] = {}

    def remember(self, host: Host) -> None:
        """Note that a connection to this address failed."""
        if len(self._until) >= _MOST_REMEMBERED:
            self._until.clear()
        self._until[host.address] = self._clock() + self._length_s

    def forget(self, host: Host) -> None:
        """Note that this address answers."""
        self._until.pop(host.address, None)

    def last(self, hosts: Sequence[Host]) -> Sequence[Host]:
        """Return the hosts with those that are down behind all others, else in their order."""
        if not self._until:
            return hosts
        return sorted(hosts, key=self._is_down)

    def _is_down(self, host: Host) -> bool:
        until = self._until.get(host.address)
        if until is not None and until < self._clock():
            del self._until[host.address]
            return False
        return until is not None
