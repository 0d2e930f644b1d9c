"""Ask an ASGI application without a server, for tests of what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.types import ASGIApp


@dataclass
class Answer:
    """A complete response."""

    status: int = 0
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


async def get(app: ASGIApp, target: str, headers: Mapping[str, str]) -> Answer:
    """Return the answer to a GET of this path; `%2f` and the like reach the application decoded."""
    answer = Answer()
    requests: list[MutableMapping[str, object]] = [{"type": "http.request", "body": b""}]

    async def receive() -> MutableMapping[str, object]:
        if requests:
            return requests.pop()
        await asyncio.Event().wait()  # the client stays until it has its answer
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, object]) -> None:
        match message:
            case {"type": "http.response.start", "status": int(status), "headers": list(raw)}:
                answer.status, answer.headers = status, Headers(raw=raw)
            case {"type": "http.response.body", "body": bytes(body)}:
                answer.body += body
            case _:
                pass

    await app(_scope(target, headers), receive, send)
    return answer


def _scope(target: str, headers: Mapping[str, str]) -> dict[str, object]:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8080),
    }
