"""Drains of a worker that stops: places that are reserved for them go to another worker."""

from __future__ import annotations

from app.messages import Stream
from app.settings import DkimSettings, RedisSettings, Settings
from app.settings.delivering import DeliverySettings
from app.spool.client import Redis
from app.spool.workers.claims import MailLane
from tests.fakes.letters import PROJECT
from worker.drains import Drains
from worker.main import open_resources

LANE = MailLane(PROJECT, Stream.TRANSACTIONAL, "example.org")


async def test_a_worker_that_stops_rings_again_for_drains_that_it_was_to_start(
    valkey_url: str,
) -> None:
    settings = Settings(
        redis=RedisSettings(url=valkey_url),
        delivery=DeliverySettings(ehlo_name="mx.example.com"),
        dkim=DkimSettings(required=False),
    )
    async with Redis.connect(settings.redis) as redis, open_resources(settings, redis) as resources:
        async with Drains(resources) as drains:
            resources.stopping.set()
            await drains.start((LANE.name,))
        assert await redis.call("ZCARD", redis.keys.queue) == 1
