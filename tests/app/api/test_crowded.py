"""Many large bodies at once: no more are read than there is memory for, and small ones pass by."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from app.settings import ApiSettings, DkimSettings, RedisSettings, Settings
from tests.app.api.client import MESSAGE, Answer, Client
from tests.fakes.waiting import eventually

LARGE = json.dumps({**MESSAGE, "text": "x" * 600_000}).encode()
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def settings(valkey_url: str) -> Settings:
    """Room for one large body."""
    return Settings(
        redis=RedisSettings(url=valkey_url),
        api=ApiSettings(max_body_bytes=1_000_000, max_held_bytes=1_000_000),
        dkim=DkimSettings(required=False),
    )


@asynccontextmanager
async def begun(client: Client) -> AsyncIterator[tuple[asyncio.StreamReader, Callable[[], None]]]:
    """Send all of a large body but its last byte; give the way to the answer, and what sends the byte."""
    head = (
        f"POST /messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(LARGE)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    try:
        writer.write(head.encode() + LARGE[:-1])
        await writer.drain()
        yield reader, lambda: writer.write(LARGE[-1:])
    finally:
        writer.close()


async def holds(client: Client, size: int) -> bool:
    metrics = await client.get("/metrics")
    line = next(
        line for line in metrics.body.splitlines() if line.startswith(b"pillarbox_http_held")
    )
    return float(line.split()[1]) == size


async def send_large(client: Client) -> Answer:
    return await client.call("POST", "/messages", body=LARGE, headers=JSON)


async def test_large_bodies_beyond_the_room_are_refused_until_there_is_room(client: Client) -> None:
    async with begun(client) as (reader, end):
        assert await eventually(lambda: holds(client, len(LARGE) - 1))
        refused = await send_large(client)
        assert (refused.status, refused.code) == (503, "crowded")
        assert int(refused.headers["Retry-After"]) > 0
        assert (await client.send()).status == 202
        end()
        assert (await reader.readline()).startswith(b"HTTP/1.1 202 ")
    assert await eventually(lambda: holds(client, 0))
    assert (await send_large(client)).status == 202


async def test_a_client_that_leaves_gives_its_room_back(client: Client) -> None:
    async with begun(client):
        assert await eventually(lambda: holds(client, len(LARGE) - 1))
    assert await eventually(lambda: holds(client, 0))
    assert (await send_large(client)).status == 202
