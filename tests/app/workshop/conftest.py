"""An artisan with a real child."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.workshop.artisan import Artisan, Means


@pytest.fixture
async def artisan() -> AsyncIterator[Artisan]:
    """One artisan, who is given what the workshop would have refused, and time on a loaded machine."""
    means = Means(timedelta(minutes=2), memory_bytes=256_000_000, most_bytes=2_000_000)
    async with Artisan(means) as artisan:
        yield artisan
