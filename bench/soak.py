"""`make soak`: a steady load for a while, with what each process holds in memory; ends with one line of JSON.

It fails if a mail that was accepted is not delivered in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from app.processes.ports import free_port
from bench import load
from bench.processor import resident_mb
from bench.sink import smtp_sink
from bench.stack import Stack, running, to_one_sink

_RATE = 200
_STEP_S = 10


def memory(stack: Stack) -> dict[str, float]:
    """Return what each process holds now, in MB."""
    return {name: round(resident_mb(pid), 1) for name, pid in stack.pids.items()}


async def soak(stack: Stack, minutes: float) -> tuple[int, list[dict[str, float]]]:
    """Post at a steady rate; return how many mails were accepted, and the memory at each step."""
    accepted, steps = 0, []
    until = time.monotonic() + minutes * 60
    while time.monotonic() < until:
        wanted = load.requests(stack.api, _RATE * _STEP_S)
        accepted += len(await load.pace(stack.api, wanted, _RATE))
        steps.append(await asyncio.to_thread(memory, stack))
        delivered = await asyncio.to_thread(stack.delivered)
        sys.stderr.write(f"accepted {accepted:8}  delivered {delivered:8}  MB {steps[-1]}\n")
    return accepted, steps


def main() -> int:
    """Soak; return 1 if a mail is missing."""
    parser = argparse.ArgumentParser(prog="bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    minutes = parser.parse_args().minutes
    sink_port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="pillarbox-soak-") as directory,
        smtp_sink(sink_port),
        running(Path(directory), to_one_sink(sink_port)) as stack,
    ):
        accepted, steps = asyncio.run(soak(stack, minutes))
        deadline = time.monotonic() + 60
        while stack.delivered() < accepted and time.monotonic() < deadline:
            time.sleep(0.1)
        missing = accepted - stack.delivered()
    result = {"accepted": accepted, "missing": missing, "mb_first": steps[0], "mb_last": steps[-1]}
    sys.stdout.write(json.dumps(result) + "\n")
    return int(missing > 0)


if __name__ == "__main__":
    sys.exit(main())
