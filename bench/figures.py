"""What all measurements share: their sizes, their figures, and how they wait."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Figures: TypeAlias = dict[str, float | None]
"""Results by name; None where something could not be measured here."""

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done: mails of one run, runs, mails at a steady rate, and mails that wait."""

    mails: int
    rounds: int
    paced: int
    backlog: int


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that `percent` of all do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def milliseconds(name: str, seconds: Sequence[float]) -> Figures:
    """Return the median and the 99th percentile of some durations."""
    return {f"{name}_p{part}_ms": percentile(seconds, part) * 1000 for part in (50, 99)}


def wait_for(condition: Callable[[], bool], within_s: float = 300.0) -> None:
    """Wait until `condition` holds. Raises AssertionError where it does not come to that."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the benchmark does not come to an end"
        time.sleep(_POLL_S)
