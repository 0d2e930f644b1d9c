"""Answers of the DNS that are kept, and questions of which only one is asked at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Generic, TypeVar

from worker.routing.answers import Answer, Failed

R = TypeVar("R")

_MOST_KEPT = 50_000
_FAILURE_TTL = 2.0


class Memory(Generic[R]):
    """Answers to one kind of question by name, each for its TTL but at most `most_ttl` seconds.

    Failures are kept for two seconds, so that a thousand mails to a broken domain ask once.
    """

    def __init__(self, most_ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_ttl = most_ttl
        self._clock = clock
        self._kept: dict[str, tuple[float, Answer[R]]] = {}
        self._asking: dict[str, asyncio.Task[Answer[R]]] = {}

    async def recall(
        self, name: str, ask: Callable[[str], Coroutine[None, None, Answer[R]]]
    ) -> Answer[R]:
        """Return the answer for `name`: a kept one, or that of `ask`, which must not raise.

        Cancelling one who waits does not cancel the question, since others may wait for it too.
        """
        until, answer = self._kept.get(name, (0.0, None))
        if answer is not None and self._clock() < until:
            return answer
        task = self._asking.get(name)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._learn(name, ask))
            self._asking[name] = task
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Stop asking."""
        tasks = tuple(self._asking.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _learn(
        self, name: str, ask: Callable[[str], Coroutine[None, None, Answer[R]]]
    ) -> Answer[R]:
        try:
            answer = await ask(name)
        finally:
            del self._asking[name]
        ttl = _FAILURE_TTL if isinstance(answer, Failed) else min(answer.ttl, self._most_ttl)
        self._kept.pop(name, None)
        if ttl > 0:
            self._keep(name, answer, ttl)
        return answer

    def _keep(self, name: str, answer: Answer[R], ttl: float) -> None:
        while len(self._kept) >= _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[name] = (self._clock() + ttl, answer)
