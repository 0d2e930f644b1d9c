"""arq's loop while Redis is away: a line in the log for each job, and no traceback."""

from __future__ import annotations

from arq import func
from redis.exceptions import WatchError

from app.processes.ports import free_port
from app.settings import RedisSettings
from app.spool.client import Redis, translate
from app.spool.jobs import arq_pool
from worker.main import Listener


async def test_a_job_during_which_redis_goes_away_raises_nothing() -> None:
    async with Redis.connect(RedisSettings(url=f"redis://127.0.0.1:{free_port()}")) as redis:
        listener = Listener(
            functions=[func("asyncio.sleep")],
            redis_pool=arq_pool(redis),
            handle_signals=False,
        )
        await listener.run_job("job", 0)


def test_a_connection_lost_while_it_watched_is_redis_being_away() -> None:
    assert translate(WatchError("A ConnectionError occurred on while watching one or more keys"))
