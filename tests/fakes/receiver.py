"""A webhook receiver on loopback, as an application would run it: it checks signatures and can be told to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

import orjson
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from app.wire import Json

DEADLINE = 30.0


class Receiver:
    """Takes events at `url`. `events` holds those whose signature was right, in the order they came."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.status = 204
        self.secret = ""
        self.events: list[dict[str, Json]] = []
        self.refused = 0
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where events are posted to."""
        return f"http://127.0.0.1:{self.port}/hook"

    async def start(self) -> None:
        """Listen; on the same port again after `stop`."""
        application = web.Application()
        application.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner:
            await self._runner.cleanup()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is asked after each post."""
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(condition)

    async def __aenter__(self) -> Receiver:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        # Raises, and so answers 500, where the signature or its time is wrong.
        Webhook(self.secret).verify(body.decode(), dict(request.headers))
        async with self._changed:
            if self.status < 300:
                self.events.append(orjson.loads(body))
            else:
                self.refused += 1
            self._changed.notify_all()
        return web.Response(status=self.status)
