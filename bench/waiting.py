"""Mail that waits: real records, kept by the same step as every accepted message, due in some hours.

Each recipient's due time is then moved into the future, as a deferral does, and the clock's table with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context

import uvloop

from app.ids import ProjectId, new_message_id
from app.messages import Field, Letter, Message, Recipient, Stream
from app.settings import DkimSettings, RedisSettings, Settings
from app.spool.client import Redis, Script
from app.spool.keyspace import Keyspace
from app.spool.scripts import Scripts
from app.spool.store import Store
from app.spool.workers.claims import MailLane

_PROCESSES = 2
_AT_ONCE = 64
_LINE = b"Thank you for your order. It has left our warehouse and will be with you soon.\r\n"
_BODY = b"Subject: Your order\r\n\r\n" + _LINE * 12
_DOMAINS = ("example.org", *(f"w{number}.example.org" for number in range(999)))
_PROJECT = ProjectId("bench")
_POSTPONE = """\
local due, time = K.due .. ARGV[1], redis.call('TIME')
for place, member in ipairs(redis.call('ZRANGE', due, 0, -1)) do
  redis.call('ZADD', due, (time[1] + 3600 + place * 7919 % 14400) * 1000, member)
end
local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
if first[1] then redis.call('ZADD', K.lanes, first[2], ARGV[1]) end
"""


def fill(redis_url: str, mails: int) -> None:
    """Let `mails` of 1 KB wait in 1,000 lanes. No worker may run meanwhile."""
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as processes:
        for done in [
            processes.submit(_run_keeping, redis_url, mails // _PROCESSES)
            for _ in range(_PROCESSES)
        ]:
            done.result()
    uvloop.run(_postpone(redis_url))


def _run_keeping(redis_url: str, mails: int) -> None:
    uvloop.run(_keep_all(redis_url, mails))


async def _keep_all(redis_url: str, mails: int) -> None:
    settings = Settings(redis=RedisSettings(url=redis_url), dkim=DkimSettings(required=False))
    async with Redis.connect(settings.redis) as redis:
        store = Store(redis, Scripts.of(redis.keys, settings), settings.retention)
        messages = (_message(_DOMAINS[number % len(_DOMAINS)]) for number in range(mails))
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(_keep(store, messages))


async def _keep(store: Store, messages: Iterator[Message]) -> None:
    for message in messages:
        await store.keep(Letter(message, (_BODY,)), None)


def _message(domain: str) -> Message:
    now = datetime.now(UTC)
    return Message(
        id=new_message_id(),
        project=_PROJECT,
        stream=Stream.TRANSACTIONAL,
        mail_from="orders@example.com",
        subject="Your order",
        recipients=(Recipient(f"customer@{domain}", domain, Field.TO),),
        tags=(),
        metadata={},
        created_at=now,
        expires_at=now + timedelta(days=4),
        size_bytes=len(_BODY),
    )


async def _postpone(redis_url: str) -> None:
    settings = RedisSettings(url=redis_url)
    script = Script(f"#!lua\n{Keyspace.of(settings.prefix).as_lua()}\n{_POSTPONE}")
    async with Redis.connect(settings) as redis:
        for domain in _DOMAINS:
            await redis.run(script, MailLane(_PROJECT, Stream.TRANSACTIONAL, domain).name)
