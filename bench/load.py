"""HTTP load: kept connections that post as fast as answers come, or at a steady rate.

Cheap, to leave the processor to what is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from urllib.parse import urlsplit

import orjson

BODY_BYTES = 10 * 1024
"""Text of each mail."""
_LINE = "Thank you for your order. It has left our warehouse and will be with you soon.\n"


@dataclass(frozen=True, slots=True)
class Api:
    """Where to post, and with which key."""

    url: str
    key: str


@dataclass(frozen=True, slots=True)
class Posted:
    """When a message was sent to the API, and when its answer had come (monotonic seconds)."""

    sent_at: float
    answered_at: float


def request(api: Api, recipient: str) -> bytes:
    """Return one whole `POST /messages`, as a shop would send it."""
    return _post(api, "/messages", _message(recipient))


def batches(api: Api, mails: int, size: int) -> Iterator[bytes]:
    """Yield a `POST /messages/batch` for each `size` of so many customers."""
    for first in range(0, mails, size):
        count = min(size, mails - first)
        messages = [_message(f"customer{first + number}@example.org") for number in range(count)]
        yield _post(api, "/messages/batch", {"messages": messages})


def _message(recipient: str) -> dict[str, str]:
    return {
        "from": "Shop <orders@example.com>",
        "to": recipient,
        "subject": f"{recipient}, your order is on its way",
        "text": (_LINE * (BODY_BYTES // len(_LINE) + 1))[:BODY_BYTES],
    }


def _post(api: Api, path: str, document: object) -> bytes:
    body = orjson.dumps(document)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(api.url).netloc}\r\n"
        f"Authorization: Bearer {api.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def recipients(mails: int, domains: Iterable[str] = ("example.org",)) -> Iterator[str]:
    """Yield the addresses of `mails` customers: customer0, customer1, … in turns at `domains`."""
    turns = cycle(domains)
    return (f"customer{number}@{next(turns)}" for number in range(mails))


def requests(api: Api, mails: int, domains: Iterable[str] = ("example.org",)) -> Iterator[bytes]:
    """Yield a request for each of these recipients."""
    return (request(api, recipient) for recipient in recipients(mails, domains))


class _Poster(asyncio.Protocol):
    """One connection: posts the next request when the answer to the last has come."""

    def __init__(self, requests: Iterator[bytes], done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._done = done
        self._transport: asyncio.Transport | None = None
        self._answer = b""

    def begin(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._post()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, separator, body = self._answer.partition(b"\r\n\r\n")
        if separator and len(body) >= _content_length(head):
            if not head.startswith(b"HTTP/1.1 202"):
                self._done.set_exception(AssertionError(self._answer.decode()))
                return
            self._answer = b""
            self._post()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the API closed the connection"))

    def _post(self) -> None:
        assert self._transport is not None
        following = next(self._requests, None)
        if following is None:
            if not self._done.done():
                self._done.set_result(None)
            return
        self._transport.write(following)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line[15:])
    return 0


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


async def flood(api: Api, wanted: Iterator[bytes], connections: int = 20) -> float:
    """Post `wanted` over `connections` connections, each as fast as it is answered.

    Return the moment before the first.
    """
    host, port = _place(api.url)
    loop = asyncio.get_running_loop()
    ends = [loop.create_future() for _ in range(connections)]
    began_at = time.monotonic()
    for end in ends:
        make = partial(_Poster, wanted, end)
        transport, poster = await loop.create_connection(make, host, port)
        poster.begin(transport)
    await asyncio.gather(*ends)
    return began_at


async def pace(api: Api, wanted: Iterable[bytes], rate: float) -> list[Posted]:
    """Post `wanted` at a steady `rate` a second, whatever the answers do; return when, in their order."""
    began_at = time.monotonic()
    idle: list[_Single] = []
    tasks = []
    async with asyncio.TaskGroup() as group:
        for number, each in enumerate(wanted):
            await asyncio.sleep(began_at + number / rate - time.monotonic())
            single = idle.pop() if idle else _Single(api)
            tasks.append(group.create_task(_one(single, each, idle)))
    return [task.result() for task in tasks]


async def _one(single: _Single, wanted: bytes, idle: list[_Single]) -> Posted:
    posted = await single.post(wanted)
    idle.append(single)
    return posted


class _Single:
    """A kept connection that posts once when told to."""

    def __init__(self, api: Api) -> None:
        self._place = _place(api.url)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, wanted: bytes) -> Posted:
        """Return the moments of the post and of the whole answer; connecting comes before."""
        if self._streams is None or self._streams[0].at_eof():
            self._streams = await asyncio.open_connection(*self._place)
        reader, writer = self._streams
        sent_at = time.monotonic()
        writer.write(wanted)
        head = await reader.readuntil(b"\r\n\r\n")
        answer = await reader.readexactly(_content_length(head))
        answered_at = time.monotonic()
        assert head.startswith(b"HTTP/1.1 202"), head + answer
        return Posted(sent_at, answered_at)


async def post_once(api: Api, recipient: str) -> Posted:
    """Post one message over a fresh connection."""
    return await _Single(api).post(request(api, recipient))
