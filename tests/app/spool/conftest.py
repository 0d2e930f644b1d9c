"""A spool over a real Valkey, with short leases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from app.settings import DkimSettings, RedisSettings, Settings, WebhookSettings
from app.settings.delivering import DeliverySettings
from app.spool.client import Redis
from app.spool.scripts import Scripts
from app.spool.store import Store
from app.spool.workers.lanes import Lanes


@dataclass(frozen=True)
class Spool:
    """The parts of a spool that tests use."""

    redis: Redis
    store: Store
    lanes: Lanes
    length: timedelta


def spool_settings(url: str) -> Settings:
    """Return settings with a lease that ends soon and few places."""
    return Settings(
        redis=RedisSettings(url=url),
        delivery=DeliverySettings(
            lease=timedelta(milliseconds=200),
            lane_drains=3,
            mails_per_drain=2,
            ehlo_name="mx.example.com",
        ),
        webhooks=WebhookSettings(max_waiting=3),
        dkim=DkimSettings(required=False),
    )


@pytest.fixture
async def spool(valkey_url: str) -> AsyncIterator[Spool]:
    settings = spool_settings(valkey_url)
    async with Redis.connect(settings.redis) as redis:
        scripts = Scripts.of(redis.keys, settings)
        store = Store(redis, scripts, settings.retention)
        lanes = Lanes(redis, scripts, settings.retention.settled)
        yield Spool(redis, store, lanes, settings.delivery.lease)
