"""Waiting for what will come to be, instead of sleeping for luck."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T]], *, within_s: float = 30.0) -> T:
    """Return the first true value that `look` gives. Raises TimeoutError when none comes in time."""
    async with asyncio.timeout(within_s):
        while True:
            if value := await look():
                return value
            await asyncio.sleep(0.01)


def wait_until(
    condition: Callable[[], bool],
    told: Callable[[], str] = lambda: "waited in vain",
    *,
    within_s: float = 60.0,
) -> None:
    """Return once `condition` holds, where there is no loop; else raise AssertionError with what is `told`."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.02)
