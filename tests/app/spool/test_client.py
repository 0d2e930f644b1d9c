"""What the Redis library raises, and what it means here."""

from __future__ import annotations

import pytest
from redis import exceptions
from redis.asyncio import Redis as Library

from app.errors import SpoolUnavailable
from app.settings import RedisSettings
from app.spool.client import Redis, translate
from app.spool.jobs import arq_pool


async def test_a_connection_lost_while_a_key_is_watched_means_that_redis_is_away(
    valkey_url: str,
) -> None:
    async with (
        Redis.connect(RedisSettings(url=valkey_url)) as redis,
        Library.from_url(valkey_url) as other,
        arq_pool(redis).pipeline(transaction=True) as pipe,
    ):
        await pipe.watch("key")
        await other.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(exceptions.WatchError) as raised:
            await pipe.exists("key")
    assert isinstance(translate(raised.value), SpoolUnavailable)
