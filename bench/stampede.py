"""Many lanes that become due at once, as after an outage, and what it does to receivers, API and Redis."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import redis.asyncio

from bench.say import say, show
from tests.fakes.deployment import Deployment, deployed
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer, smtp_servers

_HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")
_RECIPIENTS_PER_LANE = 10
_AT_ONCE = 20
_WINDOW = 20
_PATIENCE_S = 600
_SETTINGS = {"PILLARBOX_DELIVERY__LEASE": "30", "PILLARBOX_DELIVERY__WINDOW": str(_WINDOW)}


async def stampede(directory: Path, recipients: int) -> dict[str, object]:
    """Let `recipients` wait in lanes while no worker is there; start one, and watch."""
    lanes = max(recipients // _RECIPIENTS_PER_LANE, 1)
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(DnsServer(ttl=3600))
        receivers = await stack.enter_async_context(smtp_servers(*_HOSTS))
        for number, host in enumerate(_HOSTS):
            dns.a(f"mx{number}.example.net", host)
        for lane in range(lanes):
            dns.mx(f"example{lane}.org", (10, f"mx{lane % len(_HOSTS)}.example.net"))
        pillarbox = await stack.enter_async_context(
            deployed(directory, dns, receivers[0].port, settings=_SETTINGS)
        )
        await asyncio.to_thread(pillarbox.worker.kill)
        say(f"\naccepting {recipients} recipients in {lanes} lanes, with no worker there")
        messages = await _fill(pillarbox, recipients, lanes)
        return await _release(pillarbox, receivers, messages, lanes * _RECIPIENTS_PER_LANE)


async def _fill(pillarbox: Deployment, recipients: int, lanes: int) -> list[str]:
    """Send messages to ten domains each, so that none shares a transaction; return their ids."""
    numbers = iter(range(recipients // _RECIPIENTS_PER_LANE))
    messages: list[str] = []

    async def sender() -> None:
        for number in numbers:
            to = [f"user@example{(number * 10 + n) % lanes}.org" for n in range(10)]
            messages.append(await pillarbox.send(*dict.fromkeys(to)))

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(sender())
    return messages


async def _release(
    pillarbox: Deployment, receivers: Sequence[SmtpServer], messages: list[str], most: int
) -> dict[str, object]:
    async with redis.asyncio.Redis.from_url(pillarbox.valkey.url) as client:
        await client.config_set("slowlog-log-slower-than", "1000")
        await client.config_set("slowlog-max-len", "100000")
        pillarbox.worker.start()
        began = time.monotonic()
        answers = await _watch(pillarbox, receivers, most)
        seconds = time.monotonic() - began
        slowest = max(await _slow_scripts(client), default=0.0)
    copies = Counter(
        (mail.content.partition(b"Message-ID: ")[2][:64], address)
        for receiver in receivers
        for mail in (*receiver.mails, *receiver.refused)
        for address in mail.recipients
    )
    peaks = [receiver.peak for receiver in receivers]
    counts: dict[str, object] = {
        "messages": len(messages),
        "recipients": most,
        "taken": len(copies),
        "doubled": sum(count > 1 for count in copies.values()),
        "seconds": round(seconds, 1),
        "peak_connections_of_a_site": max(peaks),
        "api_p50_ms": _quantile(answers, 0.5),
        "api_p99_ms": _quantile(answers, 0.99),
        "slowest_script_ms": slowest,
    }
    show("stampede", counts)
    is_balanced = len(copies) == most and not counts["doubled"] and max(peaks) <= _WINDOW
    return {**counts, "is_balanced": is_balanced}


async def _watch(pillarbox: Deployment, receivers: Sequence[SmtpServer], most: int) -> list[float]:
    """Ask the API for something each tenth of a second until all mail is out; return how long it took, in ms."""
    answers, until = [], time.monotonic() + _PATIENCE_S
    while sum(len(receiver.mails) for receiver in receivers) < most and time.monotonic() < until:
        asked_at = time.monotonic()
        await pillarbox.ask("GET", "/endpoints")
        answers.append((time.monotonic() - asked_at) * 1000)
        await asyncio.sleep(0.1)
    return answers


async def _slow_scripts(client: redis.asyncio.Redis) -> list[float]:
    """Return how long the scripts took that were slow, in ms."""
    entries = await client.slowlog_get(100_000)
    return [
        entry["duration"] / 1000 for entry in entries if bytes(entry["command"]).startswith(b"EVAL")
    ]


def _quantile(values: Iterable[float], part: float) -> float:
    found = sorted(values)
    return round(found[int(len(found) * part)], 1) if found else 0.0
