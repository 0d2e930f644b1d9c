"""`make bench`: Pillarbox measured on this machine, in turns with Postfix and Haraka; ends with one line of JSON.

`docs/benchmark.md` says what each figure is. `--only latency` runs one part, `--full` the long form, `--quick` a
try-out whose figures say little.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.figures import Figures, Size
from bench.parts import backlog, batch, destinations, latency, letters, relays, tls, wire
from bench.say import say

RESULTS = Path(".benchmarks") / "results.json"
"""Where the figures are kept for `make bench-plots`; a part that runs alone replaces its own."""
_PARTS: Mapping[str, Callable[[Size, Path], Figures]] = {
    "relays": relays.measure,
    "batch": batch.measure,
    "latency": latency.measure,
    "letters": letters.measure,
    "wire": wire.measure,
    "tls": tls.measure,
    "destinations": destinations.measure,
    "backlog": backlog.measure,
}
_USUAL = Size(mails=4_000, rounds=3, paced=3_000, backlog=100_000)
_FULL = Size(mails=10_000, rounds=5, paced=10_000, backlog=1_000_000)
_QUICK = Size(mails=1_000, rounds=1, paced=300, backlog=5_000)


def _measure(parts: list[str], size: Size) -> Figures:
    figures: Figures = {}
    for part in parts:
        began_at = time.monotonic()
        say(f"== {part}")
        with tempfile.TemporaryDirectory(prefix="pillarbox-bench-") as directory:
            found = _PARTS[part](size, Path(directory))
        figures |= {name: _rounded(value) for name, value in found.items()}
        say(f"   took {time.monotonic() - began_at:.0f} s")
    return figures


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2 if value < 100 else 0)


def _keep(figures: Figures) -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**known, **figures}, indent=1) + "\n")


def main() -> None:
    """Measure, keep the figures, and print them in one line."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", choices=_PARTS, action="append", help="run this part only")
    parser.add_argument("--full", dest="size", action="store_const", const=_FULL, default=_USUAL)
    parser.add_argument("--quick", dest="size", action="store_const", const=_QUICK)
    arguments = parser.parse_args()
    figures = _measure(arguments.only or list(_PARTS), arguments.size)
    _keep(figures)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
