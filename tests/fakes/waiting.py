"""Waiting for what will come to be, instead of sleeping for luck."""

from __future__ import annotations

import asyncio
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
