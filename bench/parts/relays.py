"""Single POSTs of a 10 KB mail, signed, each fsynced, until the sink has answered the last with 250.

Postfix and Haraka relay mails of the same size to the same sink, until their queue on disk is empty.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path

from app.processes.ports import free_port
from bench.contenders import Score, pillarbox, race, rivals
from bench.figures import Figures, Size
from bench.say import say, show
from bench.sink import smtp_sink
from bench.stack import running, to_one_sink

_WARM_UP = 500


def measure(size: Size, directory: Path) -> Figures:
    """Let everybody carry the same mails, in turns."""
    port = free_port()
    with (
        smtp_sink(port) as sink,
        running(directory / "pillarbox", to_one_sink(port)) as stack,
        rivals(directory, port, connections=50) as others,
    ):
        everybody = [*others, pillarbox(stack)]
        say("warming up")
        race(everybody, _WARM_UP, 1, {})
        say("throughput, in turns")
        scores = race(everybody, size.mails, size.rounds, {"sink": sink})
    return _figures(scores)


def _figures(scores: Mapping[str, Score]) -> Figures:
    ours = scores["pillarbox"]
    figures: Figures = {
        "single_per_s": ours.rate,
        "single_min_per_s": min(ours.rates),
        "single_max_per_s": max(ours.rates),
    }
    for name in ("postfix", "haraka"):
        figures |= _beside(name, ours, scores.get(name))
    figures |= {f"cpu_{name}_ms": spent for name, spent in ours.cpu_ms().items()}
    shown = {
        name: f"{value:.2f}" for name, value in figures.items() if name[:4] == "cpu_" and value
    }
    show("processor time a mail, ms", shown)
    return figures | {"ratio_single": figures["ratio_postfix"]}


def _beside(name: str, ours: Score, theirs: Score | None) -> Figures:
    if theirs is None:
        return {f"{name}_per_s": None, f"ratio_{name}": None}
    ratios = [a / b for a, b in zip(ours.rates, theirs.rates, strict=True)]
    return {
        f"{name}_per_s": theirs.rate,
        f"{name}_min_per_s": min(theirs.rates),
        f"{name}_max_per_s": max(theirs.rates),
        f"ratio_{name}": statistics.median(ratios),
        f"cpu_{name}_ms": theirs.cpu_ms()[name],
    }
