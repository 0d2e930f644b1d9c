"""Turns: what waits, project by project, so that one with much to do delays another by one order only."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A queue of things to do, from which each project gets its turn."""

    def __init__(self) -> None:
        """Begin empty."""
        self._waiting: dict[str, deque[T]] = {}
        self._some = asyncio.Event()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def waiting(self, project: str) -> int:
        """Return how many things of the project wait."""
        return len(self._waiting.get(project, ()))

    def put(self, project: str, item: T) -> None:
        """Add something at the end of the project's line."""
        self._waiting.setdefault(project, deque()).append(item)
        self._size += 1
        self._some.set()

    async def take(self) -> T:
        """Return what is next, as soon as there is something; its project goes to the end of all projects."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        project = next(iter(self._waiting))
        line = self._waiting.pop(project)
        item = line.popleft()
        self._size -= 1
        if line:
            self._waiting[project] = line
        return item
