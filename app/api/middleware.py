"""The outermost layer: security headers, metrics, memory, and the last catch for errors nobody expected."""

from __future__ import annotations

import time

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.body import THREAD_ABOVE_BYTES
from app.api.problems import Crowded, unexpected
from app.signals.metrics import HttpMetrics

_log = structlog.get_logger(__name__)

_CLIENT_LEFT = 499
"""The status in the metrics for clients that went away in the middle of their request (as nginx counts them)."""
_NO_ROUTE = "(none)"


class _Answer:
    """Watches one answer on its way out and completes its headers."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers.setdefault("cache-control", "no-store")
            headers.setdefault("x-content-type-options", "nosniff")
            headers.setdefault(
                "content-security-policy", "default-src 'none'; frame-ancestors 'none'"
            )
        await self._send(message)


class Room:
    """The memory for large bodies, shared by all requests."""

    def __init__(self, most: int, metrics: HttpMetrics) -> None:
        """Give away `most` bytes, and tell `metrics` of it."""
        self._free = most
        self._metrics = metrics

    def take(self, size: int) -> None:
        """Take `size` bytes, or give some back where it is negative. Raises Crowded; then nothing was taken."""
        if size > self._free:
            raise Crowded("other large requests are being read: send this one again in a moment")
        self._free -= size
        self._metrics.held(size)


class _Intake:
    """Watches one body on its way in, and takes room for it as soon as it is a large one."""

    def __init__(self, receive: Receive, room: Room) -> None:
        self._receive = receive
        self._room = room
        self._size = self._taken = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > THREAD_ABOVE_BYTES:
            self._room.take(self._size - self._taken)
            self._taken = self._size
        return message

    def let_go(self, size: int) -> None:
        """Give room back for bytes that the route holds no more."""
        self._size -= size
        if self._size < self._taken:
            self._room.take(self._size - self._taken)
            self._taken = self._size

    def end(self) -> None:
        if self._taken:
            self._room.take(-self._taken)


class Boundary:
    """Pure ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics, room: Room) -> None:
        """Wrap `app`, count in `metrics`, and let in what `room` is left for."""
        self._app = app
        self._metrics = metrics
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; only here an exception that is no answer becomes one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer, begun = _Answer(send), time.perf_counter()
        intake = _Intake(receive, self._room)
        scope["let_go"] = intake.let_go
        try:
            await self._app(scope, intake.receive, answer.send)
        except ClientDisconnect:
            answer.status = _CLIENT_LEFT
        except Exception:
            await self._fail(scope, receive, answer)
        finally:
            intake.end()
            seconds = time.perf_counter() - begun
            self._metrics.answered(
                scope["method"], _route(scope), answer.status or _CLIENT_LEFT, seconds
            )

    async def _fail(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        instance, response = unexpected()
        self._metrics.failed()
        _log.exception(
            "request_failed", instance=instance, method=scope["method"], route=_route(scope)
        )
        if answer.status is not None:
            raise ConnectionAbortedError(
                "the answer had begun: cut it, so that nobody takes it for whole"
            )
        await response(scope, receive, answer.send)


def _route(scope: Scope) -> str:
    """Return the template of the route; paths themselves are without number and would fill the memory."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else _NO_ROUTE
