"""What befalls the processes, the receivers and the DNS in `make chaos`. Each trouble is over when it returns."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import redis.asyncio

from bench.say import say
from tests.fakes.deployment import Deployment
from tests.fakes.dns import DnsServer, Trouble
from tests.fakes.smtp import SmtpServer, drop

Step = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class World:
    """All that can be troubled."""

    pillarbox: Deployment
    dns: DnsServer
    receivers: Sequence[SmtpServer]
    names: Sequence[str]

    async def kill_worker(self) -> None:
        """SIGKILL one worker and start it again."""
        worker = random.choice(self.pillarbox.workers)
        await asyncio.to_thread(worker.kill)
        worker.start()

    async def stop_worker(self) -> None:
        """SIGTERM one worker, with SIGKILL soon after, perhaps before it could end."""
        worker = random.choice(self.pillarbox.workers)
        worker.child.terminate()
        await asyncio.sleep(random.uniform(0, 2))
        await asyncio.to_thread(worker.kill)
        worker.start()

    async def freeze_worker(self) -> None:
        """Freeze one worker, perhaps past its lease."""
        worker = random.choice(self.pillarbox.workers)
        worker.freeze()
        await asyncio.sleep(random.uniform(0.5, 4))
        worker.thaw()

    async def kill_api(self) -> None:
        """SIGKILL the API and start it again."""
        await asyncio.to_thread(self.pillarbox.api.kill)
        self.pillarbox.api.start()

    async def kill_valkey(self) -> None:
        """SIGKILL Valkey and start it again a while later."""
        self.pillarbox.valkey.kill()
        await asyncio.sleep(random.uniform(0, 3))
        await asyncio.to_thread(self.pillarbox.valkey.start)

    async def freeze_valkey(self) -> None:
        """Let Valkey answer nothing for a while."""
        await self._freeze_valkey(random.uniform(0.1, 2))

    async def slow_valkey(self) -> None:
        """Let Valkey answer late, by up to a fifth of a second, for a while."""
        for _ in range(10):
            await self._freeze_valkey(random.uniform(0.05, 0.2))
            await asyncio.sleep(0.03)

    async def _freeze_valkey(self, seconds: float) -> None:
        self.pillarbox.valkey.freeze()
        await asyncio.sleep(seconds)
        self.pillarbox.valkey.thaw()

    async def make_valkey_a_replica(self) -> None:
        """Let Valkey refuse all writes, as a replica does."""
        async with redis.asyncio.Redis.from_url(self.pillarbox.valkey.url) as client:
            await client.replicaof("127.0.0.1", "1")
            await asyncio.sleep(random.uniform(0.5, 3))
            await client.replicaof("NO", "ONE")

    async def end_dns(self) -> None:
        """Let the DNS fail for all names."""
        kind = random.choice([Trouble.SILENCE, Trouble.SERVFAIL, Trouble.REFUSED])
        for name in self.names:
            self.dns.trouble(name, kind)
        await asyncio.sleep(random.uniform(1, 5))
        for name in self.names:
            self.dns.heal(name)

    async def end_receiver(self) -> None:
        """Let one receiver refuse connections and lose those it has."""
        receiver = random.choice(self.receivers)
        await receiver.stop()
        await asyncio.sleep(random.uniform(0.5, 4))
        await receiver.__aenter__()

    def steps(self) -> dict[str, Step]:
        """Return all of them by name."""
        found = (
            *(self.kill_worker, self.stop_worker, self.freeze_worker, self.kill_api),
            *(self.kill_valkey, self.freeze_valkey, self.slow_valkey, self.make_valkey_a_replica),
            *(self.end_dns, self.end_receiver),
        )
        return {step.__name__: step for step in found}

    async def trouble_for(self, seconds: float) -> Counter[str]:
        """Make trouble for a while; return how often each thing was done."""
        done: Counter[str] = Counter()
        until, steps = time.monotonic() + seconds, self.steps()
        while time.monotonic() < until:
            await asyncio.sleep(random.uniform(0.5, 2))
            # What was done least comes first, so that a short run has all of it.
            name = min(random.sample(list(steps), len(steps)), key=done.__getitem__)
            say(f"  {name}")
            await steps[name]()
            done[name] += 1
        return done


def misbehave(server: SmtpServer) -> None:
    """Let a receiver refuse some for now, and hang up at some steps."""
    for step in ("MAIL", "RCPT", "DATA", "DOT"):
        server.act(step, drop, when="user7@")
        server.act(step, drop, times=5)
    server.reply("RCPT", "451 4.7.1 Later", when="user3@", times=50)
