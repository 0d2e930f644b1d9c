"""The same mails as single POSTs have, in batches: what a newsletter or a nightly run sends.

Postfix relays mails of the same size in the same run, until its queue on disk is empty.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from app.processes.ports import free_port
from bench.contenders import in_batches, race, rivals
from bench.figures import Figures, Size
from bench.say import say, show
from bench.sink import smtp_sink
from bench.stack import running, to_one_sink

_BATCH = 100
_WARM_UP = 500


def measure(size: Size, directory: Path) -> Figures:
    """Let everybody carry the same mails, in turns."""
    port = free_port()
    with (
        smtp_sink(port) as sink,
        running(directory / "pillarbox", to_one_sink(port)) as stack,
        rivals(directory, port, connections=50) as others,
    ):
        everybody = [other for other in others if other.name == "postfix"]
        everybody.append(in_batches(stack, _BATCH))
        say("warming up")
        race(everybody, _WARM_UP, 1, {})
        say(f"batches of {_BATCH}, in turns")
        scores = race(everybody, size.mails, size.rounds, {"sink": sink})
    ours, postfix = scores["batches"], scores.get("postfix")
    spent = {f"batch_cpu_{name}_ms": value for name, value in ours.cpu_ms().items()}
    show("processor time a mail, ms", {name: f"{value:.2f}" for name, value in spent.items()})
    ratio = None
    if postfix:
        ratio = statistics.median(a / b for a, b in zip(ours.rates, postfix.rates, strict=True))
    return {"batch_per_s": ours.rate, "ratio_batch": ratio, **spent}
