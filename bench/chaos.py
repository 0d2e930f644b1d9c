"""`make chaos`: real processes under load, killed and frozen at random, and a ledger at the end.

What was accepted is held against what the receivers got and what the events say. Nothing may be lost,
each recipient ends once, and a second copy is only possible where a worker was lost or a reply came too
late, which the history of the message says. Ends with one line of JSON; fails if the ledger does not add up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import orjson

from tests.fakes.deployment import FINAL, Deployment, data, delivery, deployed, ledger
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer, drop

_SENDERS = 4
_PAUSE_S = 0.02
_SETTLE_S = 180


def say(text: str) -> None:
    """Show progress on standard error."""
    sys.stderr.write(f"{text}\n")


async def post(pillarbox: Deployment, number: int) -> str:
    """Send one message until it is accepted: the same key makes a repetition safe."""
    body = orjson.dumps(
        {
            "from": "sender@example.com",
            "to": [f"user{number}@example{number % 5}.org"],
            "subject": f"Mail {number}",
            "text": "Hello!\n" * 50,
        }
    )
    headers = {"Content-Type": "application/json", "Idempotency-Key": f"mail-{number}"}
    while True:
        try:
            async with pillarbox.session.post(
                f"{pillarbox.api_url}/messages", data=body, headers=headers
            ) as answer:
                if answer.status == 202:
                    return str(orjson.loads(await answer.read())["id"])
                assert answer.status == 503, await answer.text()
        except aiohttp.ClientError:
            pass  # the API was killed; nobody knows whether it took the message
        await asyncio.sleep(0.1)


async def send_for(pillarbox: Deployment, seconds: float) -> dict[str, int]:
    """Send for a while; return the accepted messages with their numbers."""
    accepted: dict[str, int] = {}
    numbers = iter(range(10**9))
    until = time.monotonic() + seconds

    async def sender() -> None:
        while time.monotonic() < until:
            number = next(numbers)
            accepted[await post(pillarbox, number)] = number
            await asyncio.sleep(_PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for _ in range(_SENDERS):
            group.create_task(sender())
    return accepted


def troubles(pillarbox: Deployment) -> dict[str, Callable[[], Awaitable[None]]]:
    """Return what may befall the processes, by name."""

    async def kill_worker() -> None:
        worker = random.choice(pillarbox.workers)
        await asyncio.to_thread(worker.kill)
        worker.start()

    async def freeze_worker() -> None:
        worker = random.choice(pillarbox.workers)
        worker.freeze()
        await asyncio.sleep(random.uniform(0.5, 4))
        worker.thaw()

    async def kill_api() -> None:
        await asyncio.to_thread(pillarbox.api.kill)
        pillarbox.api.start()

    async def kill_valkey() -> None:
        pillarbox.valkey.kill()
        await asyncio.sleep(random.uniform(0, 3))
        await asyncio.to_thread(pillarbox.valkey.start)

    async def freeze_valkey() -> None:
        pillarbox.valkey.freeze()
        await asyncio.sleep(random.uniform(0.1, 2))
        pillarbox.valkey.thaw()

    return {
        step.__name__: step
        for step in (kill_worker, freeze_worker, kill_api, kill_valkey, freeze_valkey)
    }


async def trouble_for(pillarbox: Deployment, seconds: float) -> Counter[str]:
    """Trouble the processes for a while; return how often each thing was done."""
    done: Counter[str] = Counter()
    until = time.monotonic() + seconds
    choices = troubles(pillarbox)
    while time.monotonic() < until:
        await asyncio.sleep(random.uniform(0.5, 2))
        name = random.choice(list(choices))
        say(f"  {name}")
        await choices[name]()
        done[name] += 1
    return done


async def settle_all(pillarbox: Deployment, accepted: dict[str, int]) -> Counter[str]:
    """Wait until every recipient has a final status; return how often each ended how."""
    until = time.monotonic() + _SETTLE_S
    ends: Counter[str] = Counter()
    for message in accepted:
        statuses = await pillarbox.statuses(message)
        while not set(statuses.values()) <= FINAL:
            assert time.monotonic() < until, f"{message} does not end: {statuses}"
            await asyncio.sleep(0.2)
            statuses = await pillarbox.statuses(message)
        ends.update(statuses.values())
    return ends


async def untold(pillarbox: Deployment, copies: Counter[str]) -> list[str]:
    """Return messages with more than one copy whose history does not say why."""
    found = []
    for message in (message for message, count in copies.items() if count > 1):
        events = await pillarbox.events(message)
        if not any(delivery(event)["in_doubt"] for event in events if "delivery" in data(event)):
            found.append(message)
    return found


def misbehave(server: SmtpServer) -> None:
    """Let a receiver refuse some for now, and hang up at some steps."""
    for step in ("MAIL", "RCPT", "DATA", "DOT"):
        server.act(step, drop, when="user7")
    server.reply("RCPT", "451 4.7.1 Later", when="user3", times=50)
    for step in ("MAIL", "RCPT", "DATA", "DOT"):
        server.act(step, drop, times=5)


async def run(directory: Path, seconds: float) -> dict[str, object]:
    """Do it all; return the ledger."""
    async with DnsServer() as dns, SmtpServer() as server:
        for number in range(5):
            dns.a(f"example{number}.org", "127.0.0.1")
        async with deployed(directory, dns, server.port, workers=2) as pillarbox:
            misbehave(server)
            say("sending, and making trouble")
            accepted, done = await asyncio.gather(
                send_for(pillarbox, seconds), trouble_for(pillarbox, seconds)
            )
            server.behave()
            say(f"waiting for {len(accepted)} messages to end")
            ends = await settle_all(pillarbox, accepted)
            copies = ledger([*server.mails, *server.refused])
            taken = ledger(server.mails)
            return {
                "accepted": len(accepted),
                "requests": len(set(accepted.values())),
                "ends": dict(ends),
                "lost": len(set(accepted) - set(taken)),
                "unknown": len(set(copies) - set(accepted)),
                "doubled": sum(count > 1 for count in copies.values()),
                "doubled_untold": await untold(pillarbox, copies),
                "troubles": dict(done),
            }


def main() -> int:
    """Run and judge; return 1 if the ledger does not add up."""
    parser = argparse.ArgumentParser(prog="bench.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="pillarbox-chaos-") as directory:
        result = asyncio.run(run(Path(directory), seconds))
    sys.stdout.write(json.dumps(result) + "\n")
    wrong = result["lost"] or result["unknown"] or result["doubled_untold"]
    return int(bool(wrong) or result["accepted"] != result["requests"])


if __name__ == "__main__":
    sys.exit(main())
