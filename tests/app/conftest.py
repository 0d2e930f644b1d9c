"""What tests of several rooms use."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.settings import WorkshopSettings
from app.signals.metrics import WorkshopMetrics, new_registry
from app.workshop.workshop import Workshop


@pytest.fixture
async def workshop() -> AsyncIterator[Workshop]:
    """A workshop as it is without any settings."""
    metrics = WorkshopMetrics(new_registry())
    async with Workshop(WorkshopSettings(), metrics).opened() as workshop:
        yield workshop
