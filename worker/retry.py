"""When next: waits from a schedule, spread by chance that the caller throws."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta


def wait_after(failures: int, schedule: Sequence[timedelta]) -> timedelta:
    """Return the wait after the given failure (from 1); the last wait of the schedule repeats.

    A retry must be delayed, and the schedule be a setting (RFC 5321 §4.5.4.1).
    """
    return schedule[min(max(failures, 1), len(schedule)) - 1]


def spread(wait: timedelta, jitter: float, roll: float) -> timedelta:
    """Return `wait` made longer or shorter by up to the part `jitter` of it; `roll` lies in [0, 1).

    What failed together would otherwise come back together.
    """
    return wait * (1 + jitter * (2 * roll - 1))
