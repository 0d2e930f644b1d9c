"""Throughput beside mail that waits, and the memory that a waiting mail takes.

Two systems run: one has nothing else to do, the other holds the backlog. They carry the same mails in turns.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import replace
from pathlib import Path

import uvloop

from app.processes.ports import free_port
from app.settings import RedisSettings
from app.spool.client import Redis
from app.spool.replies import as_bytes
from bench import load
from bench.contenders import pillarbox, race
from bench.figures import Figures, Size, wait_for
from bench.say import say
from bench.sink import smtp_sink
from bench.stack import Stack, running, to_one_sink
from bench.waiting import fill

_WEIGHED = 5_000
_WARM_UP = 500


def measure(size: Size, directory: Path) -> Figures:
    """Weigh what waits, fill one of two systems, and let both carry mail."""
    port = free_port()
    way = to_one_sink(port)
    with (
        smtp_sink(port),
        running(directory / "empty", way) as empty,
        running(directory / "full", way) as full,
    ):
        say(f"memory of {_WEIGHED} waiting mails of 10 KB")
        large = _weigh(empty)
        wait_for(lambda: empty.delivered() >= _WEIGHED)
        say(f"{size.backlog} mails that wait")
        small = _fill(full, size.backlog)
        say("throughput, in turns")
        pair = [
            replace(pillarbox(stack), name=name)
            for name, stack in (("empty", empty), ("full", full))
        ]
        race(pair, _WARM_UP, 1, {})
        scores = race(pair, size.mails, size.rounds, {})
        rates = zip(scores["full"].rates, scores["empty"].rates, strict=True)
    return {
        "waiting_10kb_mail_bytes": large,
        "waiting_1kb_mail_bytes": small,
        "backlog_mails": size.backlog,
        "backlog_empty_per_s": scores["empty"].rate,
        "backlog_full_per_s": scores["full"].rate,
        "backlog_ratio": statistics.median(a / b for a, b in rates),
        "backlog_cpu_ratio": sum(scores["full"].cpu_ms().values())
        / sum(scores["empty"].cpu_ms().values()),
    }


def _weigh(stack: Stack) -> float:
    """Return bytes of Redis for a mail that came through the API, while the worker stands still."""
    stack.worker.freeze()
    before = _told(stack, "used_memory")
    uvloop.run(load.flood(stack.api, load.requests(stack.api, _WEIGHED)))
    taken = (_told(stack, "used_memory") - before) / _WEIGHED
    stack.worker.thaw()
    return taken


def _fill(stack: Stack, mails: int) -> float:
    """Let `mails` wait, and return bytes of Redis for each."""
    stack.worker.freeze()
    before, began_at = _told(stack, "used_memory"), time.monotonic()
    fill(stack.redis_url, mails)
    taken = (_told(stack, "used_memory") - before) / mails
    say(f"  {mails / (time.monotonic() - began_at):.0f} mails/s, {taken:.0f} bytes each")
    wait_for(lambda: not _told(stack, "aof_rewrite_in_progress"))
    stack.worker.thaw()
    return taken


def _told(stack: Stack, name: str) -> int:
    """Return a number that Redis tells of itself."""

    async def ask() -> bytes:
        async with Redis.connect(RedisSettings(url=stack.redis_url)) as redis:
            return as_bytes(await redis.call("INFO"))

    lines = asyncio.run(ask()).decode().splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith(f"{name}:"))
