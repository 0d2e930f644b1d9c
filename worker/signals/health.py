"""The worker's own HTTP answers: `/healthz` for the process' supervisor and `/metrics` for Prometheus.

A few lines of HTTP/1.0 suffice: nobody but the machine's own network asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from app.errors import ConfigurationError
from app.settings import WorkerSettings
from app.signals.metrics import CONTENT_TYPE

_REQUEST_S = 5.0
_STALE_S = 60.0


class Pulse:
    """When the loop that asks for jobs last showed life. Redis being away is no reason to be restarted."""

    def __init__(self) -> None:
        """Count the start as a beat."""
        self._at = time.monotonic()

    def beat(self) -> None:
        """Note that the loop is alive."""
        self._at = time.monotonic()

    def is_alive(self) -> bool:
        """Tell whether the last beat was less than a minute ago."""
        return time.monotonic() - self._at < _STALE_S


@asynccontextmanager
async def serve_health(
    settings: WorkerSettings, pulse: Pulse, exposition: Callable[[], bytes]
) -> AsyncIterator[None]:
    """Answer while the block runs. Raises ConfigurationError where the port is taken."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_S):
                request = await reader.readuntil(b"\r\n")
                writer.write(_response(request, pulse, exposition))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass  # Whoever asked has gone or does not speak HTTP; there is nobody to tell.
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answer, settings.health_host, settings.health_port)
    except OSError as error:
        raise ConfigurationError(
            f"the worker's health port {settings.health_host}:{settings.health_port} cannot be used: "
            f"{error.strerror}; set PILLARBOX_WORKER__HEALTH_PORT"
        ) from error
    async with server:
        yield


def _response(request: bytes, pulse: Pulse, exposition: Callable[[], bytes]) -> bytes:
    match request.split(b" "):
        case [b"GET", b"/healthz", _]:
            alive = pulse.is_alive()
            return _http(
                "200 OK" if alive else "503 Service Unavailable", b"alive" if alive else b"stalled"
            )
        case [b"GET", b"/metrics", _]:
            return _http("200 OK", exposition(), CONTENT_TYPE)
        case _:
            return _http("404 Not Found", b"/healthz and /metrics are here")


def _http(status: str, body: bytes, content_type: str = "text/plain; charset=utf-8") -> bytes:
    head = (
        f"HTTP/1.0 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
