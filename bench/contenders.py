"""Who carries mail in a measurement: Pillarbox, and the relays that run beside it where they can."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from app.processes.ports import free_port
from bench import load
from bench.figures import wait_for
from bench.processor import Meter
from bench.rivals import haraka
from bench.say import say
from bench.stack import Stack
from tests.fakes import postfix

_SOURCES = 20
_BATCH_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who carries mail: `carry` takes a number of mails and returns when the last has arrived."""

    name: str
    pids: Mapping[str, int]
    carry: Callable[[int], None]


@dataclass(slots=True)
class Score:
    """What a contender did: mails a second in each round, and processor seconds by process."""

    rates: list[float] = field(default_factory=list)
    mails: int = 0
    seconds: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rates)

    def cpu_ms(self) -> dict[str, float]:
        """Return processor time a mail, by process."""
        return {name: spent / self.mails * 1000 for name, spent in self.seconds.items()}


def pillarbox(stack: Stack, domains: Sequence[str] = ("example.org",)) -> Contender:
    """Return Pillarbox with single POSTs for customers at `domains` in turns."""

    def carry(mails: int) -> None:
        with _delivering(stack, mails):
            uvloop.run(load.flood(stack.api, load.requests(stack.api, mails, domains)))

    return Contender("pillarbox", stack.pids, carry)


def in_batches(stack: Stack, size: int) -> Contender:
    """Return Pillarbox with batches of `size`."""

    def carry(mails: int) -> None:
        with _delivering(stack, mails):
            wanted = load.batches(stack.api, mails, size)
            uvloop.run(load.flood(stack.api, wanted, _BATCH_CONNECTIONS))

    return Contender("batches", stack.pids, carry)


@contextmanager
def _delivering(stack: Stack, mails: int) -> Iterator[None]:
    """Wait until so many more mails are delivered than before."""
    before = stack.delivered()
    yield
    wait_for(lambda: stack.delivered() - before >= mails)


def _relay(name: str, pid: int, port: int, is_empty: Callable[[], bool]) -> Contender:
    def carry(mails: int) -> None:
        amount = f"-s {_SOURCES} -m {mails} -l {load.BODY_BYTES}".split()
        letter = ["-f", "orders@example.com", "-t", "customer@example.org"]
        subprocess.run(["smtp-source", *amount, *letter, f"127.0.0.1:{port}"], check=True)
        wait_for(is_empty)

    return Contender(name, {name: pid}, carry)


@contextmanager
def rivals(directory: Path, sink_port: int, connections: int) -> Iterator[list[Contender]]:
    """Run the relays that this machine can run; each sends to the sink over `connections` at most."""
    with ExitStack() as stack:
        found = []
        if reason := postfix.why_not():
            say(f"  without Postfix: {reason}")
        else:
            port = free_port()
            relay = postfix.relaying(directory / "postfix", port, sink_port, connections)
            stack.enter_context(relay)
            found.append(_relay("postfix", relay.pid, port, relay.is_empty))
        if reason := haraka.why_not():
            say(f"  without Haraka: {reason}")
        else:
            port = free_port()
            other = haraka.Haraka(directory / "haraka", port, sink_port, connections)
            stack.enter_context(other)
            found.append(_relay("haraka", other.pid, port, other.is_empty))
        yield found


def race(
    contenders: Sequence[Contender], mails: int, rounds: int, others: Mapping[str, int]
) -> dict[str, Score]:
    """Let each carry `mails`, in turns; `others` are further processes whose time is counted."""
    scores = {each.name: Score() for each in contenders}
    for _ in range(rounds):
        for each in contenders:
            meter, began_at = Meter({**each.pids, **others}), time.monotonic()
            each.carry(mails)
            rate = mails / (time.monotonic() - began_at)
            score = scores[each.name]
            score.rates.append(rate)
            score.mails += mails
            score.seconds.update(meter.spent())
            say(f"  {each.name:10} {rate:8.0f} mails/s")
    return scores
