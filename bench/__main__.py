"""`make bench`: Pillarbox beside Postfix on this machine, in turns; ends with one line of JSON.

single       single POSTs of a 10 KB mail, signed, each fsynced, until the sink has answered the last with 250
postfix      Postfix relaying mails of the same size to the same sink, until its queue is empty
accept       from POST to 202, at half of the rate of `single`
first        from POST to MAIL FROM at the sink, on a system with nothing else to do
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop

from app.processes.ports import free_port
from bench import load
from bench.sink import MomentSink, smtp_sink
from bench.stack import Stack, running
from tests.fakes import postfix

_MAILS = 5_000
_ROUNDS = 3
_CONNECTIONS = 20
_PACED_MAILS = 4_000
_FIRSTS = 100
_IDLE_S = 0.1
_PAUSE_S = 3.0
"""What one measurement leaves behind (kept connections, a rewrite of the append-only file) is over then."""


def say(text: str) -> None:
    """Show progress on standard error."""
    sys.stderr.write(f"{text}\n")


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that `percent` of all do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def wait_for(condition: Callable[[], bool], within_s: float = 120.0) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the benchmark does not come to an end"
        time.sleep(0.02)


def single_per_s(stack: Stack, mails: int) -> float:
    """Return mails a second from the first POST to the last 250."""
    before = stack.delivered()
    began_at = uvloop.run(load.flood(stack.api_url, stack.key, mails, _CONNECTIONS))
    accepted_s = time.monotonic() - began_at
    wait_for(lambda: stack.delivered() - before >= mails)
    taken_s = time.monotonic() - began_at
    say(f"  pillarbox  {mails / taken_s:8.0f} mails/s  (accepted at {mails / accepted_s:.0f}/s)")
    return mails / taken_s


def postfix_per_s(relay: postfix.Postfix, port: int, mails: int) -> float:
    """Return mails a second from the first connection to the empty queue."""
    began_at = time.monotonic()
    amount = f"-s {_CONNECTIONS} -m {mails} -l {load.BODY_BYTES}".split()
    letter = ["-f", "orders@example.com", "-t", "customer@example.org"]
    subprocess.run(["smtp-source", *amount, *letter, f"127.0.0.1:{port}"], check=True)
    wait_for(relay.is_empty)
    rate = mails / (time.monotonic() - began_at)
    say(f"  postfix    {rate:8.0f} mails/s")
    return rate


async def first_attempts(stack: Stack, port: int) -> list[float]:
    """Return seconds from POST to MAIL FROM for mails that come one by one."""
    moments: asyncio.Queue[float] = asyncio.Queue()
    server = await asyncio.get_running_loop().create_server(
        lambda: MomentSink(moments), "127.0.0.1", port
    )
    async with server:
        taken = []
        for number in range(_FIRSTS):
            posted_at = await load.post_once(stack.api_url, stack.key, number)
            taken.append(await asyncio.wait_for(moments.get(), 30) - posted_at)
            await asyncio.sleep(_IDLE_S)
    return taken


def compare(stack: Stack, sink_port: int, directory: Path) -> dict[str, float | None]:
    """Return the rates of Pillarbox and Postfix, measured in turns."""
    reason = postfix.why_not()
    if reason:
        say(f"  without Postfix: {reason}")
        rates = [single_per_s(stack, _MAILS) for _ in range(_ROUNDS)]
        return {
            "single_per_s": statistics.median(rates),
            "postfix_per_s": None,
            "ratio_single": None,
        }
    port = free_port()
    ours, theirs = [], []
    with postfix.relaying(directory / "postfix", port, sink_port) as relay:
        for _ in range(_ROUNDS):
            theirs.append(postfix_per_s(relay, port, _MAILS))
            ours.append(single_per_s(stack, _MAILS))
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return {
        "single_per_s": statistics.median(ours),
        "postfix_per_s": statistics.median(theirs),
        "ratio_single": ratio,
    }


def measure(directory: Path) -> dict[str, float | None]:
    """Run everything; return the figures."""
    sink_port = free_port()
    with running(directory, sink_port) as stack:
        with smtp_sink(sink_port):
            say("warming up")
            single_per_s(stack, 500)
            say("throughput, in turns")
            figures = compare(stack, sink_port, directory)
            say("accept latency at half load")
            time.sleep(_PAUSE_S)
            rate = (figures["single_per_s"] or 0) / 2
            paced = uvloop.run(load.pace(stack.api_url, stack.key, rate, _PACED_MAILS))
            wait_for(lambda: stack.delivered() >= 500 + _ROUNDS * _MAILS + _PACED_MAILS)
        say("first attempt on an idle system")
        time.sleep(_PAUSE_S)
        firsts = asyncio.run(first_attempts(stack, sink_port))
    figures["accept_p50_ms"] = percentile(paced, 50) * 1000
    figures["accept_p99_ms"] = percentile(paced, 99) * 1000
    figures["first_attempt_p50_ms"] = percentile(firsts, 50) * 1000
    figures["first_attempt_p99_ms"] = percentile(firsts, 99) * 1000
    return figures


def main() -> None:
    """Measure and print one line of JSON."""
    argparse.ArgumentParser(prog="bench", description=__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="pillarbox-bench-") as directory:
        figures = measure(Path(directory))
    rounded = {name: None if value is None else round(value, 2) for name, value in figures.items()}
    sys.stdout.write(json.dumps(rounded) + "\n")


if __name__ == "__main__":
    main()
