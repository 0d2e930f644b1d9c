"""A client of the API under test, over real HTTP, and answers that are easy to ask."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

MESSAGE: Mapping[str, object] = {
    "from": "Shop <hello@shop.example>",
    "to": "ada@example.com",
    "subject": "Hello",
    "text": "Good morning.",
}
"""A request that is accepted as it stands."""


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def at(self, pointer: str) -> object:
        """Return what stands at a JSON pointer of the body."""
        value: object = json.loads(self.body)
        for step in pointer.split("/")[1:]:
            if isinstance(value, list):
                value = value[int(step)]
            else:
                assert isinstance(value, dict), self.body
                value = value[step]
        return value

    def text_at(self, pointer: str) -> str:
        """Return the string at a JSON pointer of the body."""
        value = self.at(pointer)
        assert isinstance(value, str)
        return value

    @property
    def code(self) -> object:
        """The code of a problem."""
        assert self.headers["content-type"] == "application/problem+json", self.body
        assert self.at("/status") == self.status
        return self.at("/code")

    @property
    def refused(self) -> list[tuple[str, str]]:
        """The pointers of the refused fields, each with its code."""
        errors = self.at("/errors")
        assert isinstance(errors, list)
        return [(error["pointer"], error["code"]) for error in errors]


class Client:
    """Calls the API on a port of loopback with one key."""

    def __init__(self, session: aiohttp.ClientSession, port: int, key: str | None = None) -> None:
        """Use the connections of `session`."""
        self._session = session
        self.port = port
        self.key = key

    def with_key(self, key: str | None) -> Client:
        """Return a client of the same API with another key, or without one."""
        return Client(self._session, self.port, key)

    def _url(self, path: str) -> URL:
        return URL(f"http://127.0.0.1:{self.port}{path}", encoded=True)

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request as it stands."""
        sent = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        sent |= headers or {}
        async with self._session.request(
            method, self._url(path), data=body, headers=sent
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def post_in_pieces(
        self, path: str, pieces: Iterable[bytes], headers: Mapping[str, str]
    ) -> Answer:
        """Post a body whose length is not told beforehand."""

        async def flow() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        return await self.post_flow(path, flow(), headers)

    async def post_flow(
        self, path: str, flow: AsyncIterator[bytes], headers: Mapping[str, str]
    ) -> Answer:
        """Post a body as it comes."""
        sent = {"Authorization": f"Bearer {self.key}", **headers}
        async with self._session.post(self._url(path), data=flow, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str) -> Answer:
        """Get a path."""
        return await self.call("GET", path)

    async def post(
        self, path: str, document: object, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Post a JSON document."""
        body = json.dumps(document).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        return await self.call("POST", path, body=body, headers=sent)

    async def send(self, **fields: object) -> Answer:
        """Send a message with these fields instead of the usual ones (`sender` stands for `from`)."""
        if "sender" in fields:
            fields["from"] = fields.pop("sender")
        return await self.post("/messages", {**MESSAGE, **fields})
