"""`make chaos`: real processes under load, killed and frozen at random, and a ledger at the end.

What was accepted is held against what the receivers got and what the events say. Nothing may be lost,
each recipient ends once, and a second copy is only possible where a worker was lost or a reply came too
late, which the history of the message says. Then a stampede: many lanes that become due at once
(`bench.stampede`). Ends with one line of JSON; fails if the ledger does not add up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from bench.reckoning import close_books
from bench.say import say, show
from bench.stampede import stampede
from bench.troubles import World, misbehave
from tests.fakes.deployment import Deployment, deployed
from tests.fakes.dns import DnsServer
from tests.fakes.smtp import SmtpServer, smtp_servers

_DOMAINS = 6
_HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
_SENDERS = 4
_PAUSE_S = 0.02
_SETTLE_S = 240
_REPEATED = 0.1
_SETTINGS = {
    # A run has more crashes in minutes than a deployment has in years: nothing shall be given up for them.
    "PILLARBOX_DELIVERY__MOST_INTERRUPTIONS": "1000",
    "PILLARBOX_REDIS__TIMEOUT": "2",
}


def make_zone(dns: DnsServer) -> list[str]:
    """Give each domain two of the hosts, in another order; return all names."""
    for number, host in enumerate(_HOSTS):
        dns.a(f"mx{number}.example.net", host)
    for number in range(_DOMAINS):
        first, second = number % len(_HOSTS), (number + 1) % len(_HOSTS)
        dns.mx(
            f"example{number}.org", (10, f"mx{first}.example.net"), (20, f"mx{second}.example.net")
        )
    return sorted({name for name, _ in dns.zone})


def letter(number: int) -> dict[str, object]:
    """Return a message that is like no other: one to four recipients at one or two domains."""
    chance = random.Random(number)
    domains = chance.sample(range(_DOMAINS), chance.choice([1, 2]))
    addresses = [
        f"user{number % 10}@example{chance.choice(domains)}.org",
        *(f"copy{n}@example{chance.choice(domains)}.org" for n in range(chance.randrange(4))),
    ]
    return {
        "from": "sender@example.com",
        "to": addresses,
        "subject": f"Mail {number}",
        "text": "Hello!\n" * chance.choice([5, 50, 5000]),
        "stream": chance.choice(["transactional", "bulk"]),
        "list_unsubscribe": {"url": "https://example.com/unsubscribe"},
        "on_unknown": chance.choice(["retry", "retry", "hold"]),
    }


async def send_for(pillarbox: Deployment, seconds: float) -> dict[int, set[str]]:
    """Send for a while, some requests again and again; return the ids that each numbered letter got."""
    accepted: dict[int, set[str]] = defaultdict(set)
    numbers = iter(range(10**9))
    until = time.monotonic() + seconds

    async def sender() -> None:
        while time.monotonic() < until:
            is_repeated = accepted and random.random() < _REPEATED
            number = random.choice(list(accepted)) if is_repeated else next(numbers)
            accepted[number].add(await pillarbox.insist(f"mail-{number}", letter(number)))
            await asyncio.sleep(_PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for _ in range(_SENDERS):
            group.create_task(sender())
    return accepted


def addresses_of(number: int) -> Sequence[str]:
    """Return the addresses of a letter, each once."""
    found = letter(number)["to"]
    assert isinstance(found, list)
    return sorted(set(found))


async def trouble(directory: Path, seconds: float) -> dict[str, object]:
    """Send and make trouble; return the ledger."""
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(DnsServer())
        receivers = await stack.enter_async_context(smtp_servers(*_HOSTS))
        names = make_zone(dns)
        pillarbox = await stack.enter_async_context(
            deployed(directory, dns, receivers[0].port, workers=2, settings=_SETTINGS)
        )
        for receiver in receivers:
            misbehave(receiver)
        say("sending, and making trouble")
        world = World(pillarbox, dns, receivers, names)
        numbered, done = await asyncio.gather(
            send_for(pillarbox, seconds), world.trouble_for(seconds)
        )
        for receiver in receivers:
            receiver.behave()
        show("troubles", done)
        return await reckon(pillarbox, numbered, receivers)


async def reckon(
    pillarbox: Deployment, numbered: dict[int, set[str]], receivers: Sequence[SmtpServer]
) -> dict[str, object]:
    """Wait for the end of all messages, show the ledger and return it."""
    accepted = {
        message: addresses_of(number) for number, found in numbered.items() for message in found
    }
    say(f"\nwaiting for {len(accepted)} messages to end")
    books = await close_books(pillarbox, accepted, receivers, _SETTLE_S)
    held = {n for n in numbered if letter(n)["on_unknown"] == "hold"}
    books = replace(books, held=frozenset().union(*(numbered[n] for n in held)))
    faults = books.faults()
    faults["split_keys"] = [f"mail-{n}" for n, found in numbered.items() if len(found) > 1]
    for name, at in faults.items():
        for place in at[:5]:
            say(f"  {name}: {place}")
    counts = {
        "accepted": len(accepted),
        "recipients": len(books.places()),
        "taken": len(books.taken),
        "second_copies_told": books.second_copies(),
        "unknown": sum(end == "unknown" for end in books.ends().values()),
        **{name: len(at) for name, at in faults.items()},
    }
    show("ledger", counts)
    return {**counts, "is_balanced": not any(faults.values())}


async def run(directory: Path, seconds: float, recipients: int) -> dict[str, object]:
    """Do both parts; return what came of them."""
    result: dict[str, object] = {}
    for part in ("trouble", "stampede"):
        (directory / part).mkdir()
    if seconds:
        result["trouble"] = await trouble(directory / "trouble", seconds)
    if recipients:
        result["stampede"] = await stampede(directory / "stampede", recipients)
    return result


def main() -> int:
    """Run and judge; return 1 if a ledger does not add up."""
    parser = argparse.ArgumentParser(prog="bench.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="of trouble, 0 for none")
    parser.add_argument(
        "--recipients", type=int, default=20_000, help="of the stampede, 0 for none"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pillarbox-chaos-") as directory:
        result = asyncio.run(run(Path(directory), options.seconds, options.recipients))
    sys.stdout.write(json.dumps(result) + "\n")
    return int(not all(isinstance(p, dict) and p["is_balanced"] for p in result.values()))


if __name__ == "__main__":
    sys.exit(main())
