"""What the state machines share: a spool that they speak to step by step, and mail in all its lanes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from app.settings import Settings
from app.spool.client import Redis
from app.spool.replies import as_bytes, as_list
from app.spool.scripts import Scripts
from app.spool.store import Store
from app.spool.workers.lanes import Lanes
from tests.app.spool.conftest import Spool, spool_settings

T = TypeVar("T")

LEASE = timedelta(seconds=30)


class SpoolMachine(RuleBasedStateMachine):
    """A machine over a spool of its own in a real Valkey; `do` runs one step of it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.spool = self.do(self._open(_settings(url)))

    def do(self, step: Coroutine[None, None, T]) -> T:
        """Run a step to its end."""
        return self._runner.run(step)

    def teardown(self) -> None:
        """Close what was opened."""
        self.do(self._stack.aclose())
        self._runner.close()

    async def _open(self, settings: Settings) -> Spool:
        redis = await self._stack.enter_async_context(Redis.connect(settings.redis))
        await redis.call("FLUSHALL")
        scripts = Scripts.of(redis.keys, settings)
        store = Store(redis, scripts, settings.retention)
        lanes = Lanes(redis, scripts, settings.retention.settled)
        return Spool(redis, store, lanes, LEASE)


def _settings(url: str) -> Settings:
    settings = spool_settings(url)
    delivery = settings.delivery.model_copy(update={"lease": LEASE})
    return settings.model_copy(update={"delivery": delivery})


async def members(redis: Redis, key: str) -> list[str]:
    """Return the members of a sorted set."""
    return [as_bytes(each).decode() for each in as_list(await redis.call("ZRANGE", key, 0, -1))]
