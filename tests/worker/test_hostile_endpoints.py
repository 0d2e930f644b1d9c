"""Endpoints that answer well and then do not know how to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from app.settings import WebhookSettings
from tests.worker.test_notify import LOOPBACK, post


@asynccontextmanager
async def answering(answer: bytes, *, hangs: bool) -> AsyncIterator[int]:
    """Give this answer and close, or wait until the other side does."""
    has_ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if hangs:
            await reader.read()
        writer.close()
        has_ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await has_ended.wait()


@pytest.mark.parametrize("hangs", [True, False])
async def test_the_status_line_decides_whatever_becomes_of_the_body(hangs: bool) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    settings = WebhookSettings(allowed_networks=LOOPBACK, timeout=timedelta(seconds=1))
    async with answering(answer, hangs=hangs) as port:
        assert await post(f"http://127.0.0.1:{port}/", settings) is None
