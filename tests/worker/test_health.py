from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from app.errors import ConfigurationError
from app.processes.ports import free_port
from app.settings import WorkerSettings
from worker.signals.health import Pulse, serve_health


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


class Stopped(Pulse):
    """A pulse that last beat long ago."""

    def __init__(self) -> None:
        super().__init__()
        self._at = time.monotonic() - 3600


async def test_a_living_worker_says_so_and_shows_its_metrics() -> None:
    settings = WorkerSettings(health_port=free_port())
    async with serve_health(settings, Pulse(), lambda: b"drains 3\n"):
        alive = await ask(settings.health_port, b"GET /healthz HTTP/1.1\r\n\r\n")
        metrics = await ask(settings.health_port, b"GET /metrics HTTP/1.1\r\n\r\n")
        other = await ask(settings.health_port, b"GET / HTTP/1.1\r\n\r\n")
    assert alive.startswith(b"HTTP/1.0 200 ")
    assert metrics.endswith(b"\r\n\r\ndrains 3\n")
    assert other.startswith(b"HTTP/1.0 404 ")


async def test_a_worker_whose_loop_stands_still_is_not_alive() -> None:
    settings = WorkerSettings(health_port=free_port())
    async with serve_health(settings, Stopped(), bytes):
        assert b" 503 " in await ask(settings.health_port, b"GET /healthz HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize("request_", [b"", b"\r\n", b"nonsense\r\n\r\n", b"x" * 200_000])
async def test_whatever_is_sent_it_goes_on(request_: bytes) -> None:
    settings = WorkerSettings(health_port=free_port())
    async with serve_health(settings, Pulse(), bytes):
        with contextlib.suppress(ConnectionError):  # it may hang up on nonsense
            await ask(settings.health_port, request_)
        assert b" 200 " in await ask(settings.health_port, b"GET /healthz HTTP/1.1\r\n\r\n")


async def test_a_taken_port_is_one_clear_sentence() -> None:
    settings = WorkerSettings(health_port=free_port())
    async with serve_health(settings, Pulse(), bytes):
        with pytest.raises(ConfigurationError, match="PILLARBOX_WORKER__HEALTH_PORT"):
            async with serve_health(settings, Pulse(), bytes):
                pass
