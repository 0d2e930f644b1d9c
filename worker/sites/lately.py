"""What was learned of hosts a moment ago. Each process learns for itself, and forgets."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_MOST_REMEMBERED = 10_000


class Lately(Generic[K, V]):
    """Remembers something of each key for a while, in seconds; the oldest go when there are too many."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Know of nothing; `clock` counts seconds."""
        self._seconds = seconds
        self._clock = clock
        self._kept: dict[K, tuple[float, V]] = {}

    def remember(self, key: K, value: V) -> None:
        """Remember this from now on."""
        while len(self._kept) >= _MOST_REMEMBERED:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (self._clock() + self._seconds, value)

    def recall(self, key: K) -> V | None:
        """Return what is remembered, None if nothing is, or no more."""
        until, value = self._kept.get(key, (0.0, None))
        if value is not None and until <= self._clock():
            del self._kept[key]
            return None
        return value

    def forget(self, key: K) -> None:
        """Remember this no longer."""
        self._kept.pop(key, None)

    def __len__(self) -> int:
        """Count what is kept, also what is to be forgotten when it is next asked for."""
        return len(self._kept)
