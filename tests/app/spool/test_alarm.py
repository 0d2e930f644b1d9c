"""Ringing the alarm: beside those who ask for it, and never in their way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from app.accept import Acceptor
from app.identity.keys.keyfolder import KeyFolder
from app.identity.keys.keyring import Keyring
from app.ids import KeyId, ProjectId
from app.letters.drafts import Draft
from app.letters.library import Library
from app.letters.writer import Writer
from app.mail.address import parse_mailbox
from app.projects.keys import ALL_SCOPES, Caller
from app.projects.templates import Templates
from app.settings import RedisSettings
from app.signals.metrics import WorkshopMetrics, new_registry
from app.spool.client import Redis, end
from app.spool.health import Health
from app.spool.jobs import Alarm, arq_pool
from app.workshop.workshop import Workshop
from tests.app.spool.conftest import Spool, spool_settings
from tests.app.spool.test_jobs import jobs
from tests.fakes.identity import free_senders
from tests.fakes.waiting import eventually

CALLER = Caller(ProjectId("shop"), KeyId("0" * 32), ALL_SCOPES)
ADA = parse_mailbox("ada@example.com")


@asynccontextmanager
async def kept(alarm: Alarm) -> AsyncIterator[None]:
    keeping = asyncio.create_task(alarm.keep())
    try:
        yield
    finally:
        await end(keeping)


@asynccontextmanager
async def silent_redis() -> AsyncIterator[RedisSettings]:
    """A server that takes connections and never says a word."""
    connections: list[asyncio.StreamWriter] = []

    async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield RedisSettings(url=f"redis://127.0.0.1:{port}", timeout=timedelta(seconds=30))
        for writer in connections:
            writer.close()


async def test_what_is_wanted_soon_is_rung_for_again_and_again(spool: Spool) -> None:
    alarm = Alarm(arq_pool(spool.redis))

    async def named(*lanes: str) -> bool:
        return sorted(str(lane) for job in await jobs(spool) for lane in job) == list(lanes)

    async with kept(alarm):
        alarm.ring_soon(["b", "a"])
        alarm.ring_soon(["a"])
        assert await eventually(lambda: named("a", "a", "b"))
        alarm.ring_soon(["c"])
        assert await eventually(lambda: named("a", "a", "b", "c"))


async def test_nobody_who_sends_waits_for_the_alarm(spool: Spool, valkey_url: str) -> None:
    settings = spool_settings(valkey_url)
    async with silent_redis() as silent, Redis.connect(silent) as hanging:
        alarm = Alarm(arq_pool(hanging))
        health = Health(spool.redis, settings.redis)
        workshop = Workshop(settings.workshop, WorkshopMetrics(new_registry()))
        library = Library(Templates(hanging, settings.templates), settings.templates.cache)
        writer = Writer(Keyring(KeyFolder(None)), workshop, settings)
        senders = free_senders(hanging, settings)
        acceptor = Acceptor(spool.store, alarm, health, library, writer, senders, settings)
        async with kept(alarm), asyncio.timeout(10):
            receipts = [
                await acceptor.accept(Draft(ADA, (ADA,), text="hello"), CALLER, None)
                for _ in range(3)
            ]
        assert len({receipt.message for receipt in receipts}) == 3
