"""Mail for 1,000 sites that are some milliseconds away, with the connections that the one worker holds.

The receivers are late by a round trip with every reply (`bench.receivers` says how exact that is). The
relays beside it send everything to one place, over up to 500 connections.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench.contenders import Contender, Score, pillarbox, race, rivals
from bench.farm import Farm, farm
from bench.figures import Figures, Size
from bench.processor import resident_mb
from bench.say import say
from bench.stack import Stack, running, to_many_sites

_SITES = 1_000
_ROUND_TRIPS_MS = (0, 20, 100)
_CONNECTIONS = 500


@dataclass(slots=True)
class _Held:
    """Connections that Pillarbox held: the most, and the mean over the time of a run."""

    peak: int = 0
    mean: float = 0.0
    worker_mb: float = 0.0


def measure(size: Size, directory: Path) -> Figures:
    """Measure at each distance, everybody in turns."""
    with ExitStack() as stack:
        receivers = stack.enter_context(farm(_SITES))
        way = to_many_sites(receivers.dns_address, receivers.port)
        ours = stack.enter_context(running(directory / "pillarbox", way))
        others = stack.enter_context(rivals(directory, receivers.port, _CONNECTIONS))
        say("warming up: a first mail to every site")
        pillarbox(ours, receivers.domains).carry(_SITES)
        figures: Figures = {}
        for distance in _ROUND_TRIPS_MS:
            say(f"{distance} ms away")
            receivers.tell(round_trip=distance / 1000)
            held = _Held()
            watched = _watched(ours, receivers, held)
            scores = race([*others, watched], size.mails, size.rounds, {})
            figures |= _figures(f"wire_{distance}ms", scores, held)
    return figures


def _watched(stack: Stack, receivers: Farm, held: _Held) -> Contender:
    """Return Pillarbox, with an eye on its connections."""
    contender = pillarbox(stack, receivers.domains)

    def carry(mails: int) -> None:
        receivers.look()
        began_at = time.monotonic()
        contender.carry(mails)
        seen = receivers.look()
        held.peak = max(held.peak, seen.peak)
        held.mean = max(held.mean, seen.connection_seconds / (time.monotonic() - began_at))
        held.worker_mb = resident_mb(stack.pids["worker"])
        say(f"    {held.peak} connections at most, {held.mean:.0f} on average")

    return replace(contender, carry=carry)


def _figures(name: str, scores: Mapping[str, Score], held: _Held) -> Figures:
    theirs = {each: scores[each].rate if each in scores else None for each in ("postfix", "haraka")}
    return {
        f"{name}_per_s": scores["pillarbox"].rate,
        **{f"{name}_{each}_per_s": rate for each, rate in theirs.items()},
        f"{name}_connections": held.peak,
        f"{name}_connections_mean": held.mean,
        f"{name}_worker_mb": held.worker_mb,
    }
