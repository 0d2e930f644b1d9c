"""HTTP load: kept connections that post as fast as answers come, or at a steady rate.

Cheap, to leave the processor to what is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

import orjson

BODY_BYTES = 10 * 1024
"""Text of each mail."""
_LINE = "Thank you for your order. It has left our warehouse and will be with you soon.\n"


def request(url: str, key: str, number: int) -> bytes:
    """Return one whole `POST /messages`, as a shop would send it."""
    host = urlsplit(url).netloc
    body = orjson.dumps(
        {
            "from": "Shop <orders@example.com>",
            "to": f"customer{number}@example.org",
            "subject": f"Your order {number} is on its way",
            "text": (_LINE * (BODY_BYTES // len(_LINE) + 1))[:BODY_BYTES],
        }
    )
    head = (
        f"POST /messages HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


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


async def flood(url: str, key: str, mails: int, connections: int) -> float:
    """Post `mails` messages over `connections` connections, each as fast as it is answered.

    Return the moment before the first.
    """
    requests = (request(url, key, number) for number in range(mails))
    host, port = _place(url)
    loop = asyncio.get_running_loop()
    ends = [loop.create_future() for _ in range(connections)]
    began_at = time.monotonic()
    for end in ends:
        make = partial(_Poster, requests, end)
        transport, poster = await loop.create_connection(make, host, port)
        poster.begin(transport)
    await asyncio.gather(*ends)
    return began_at


async def pace(url: str, key: str, rate: float, mails: int) -> list[float]:
    """Post `mails` messages at a steady `rate` a second, whatever the answers do.

    Return the seconds from post to answer, in the order of the answers.
    """
    latencies: list[float] = []
    began_at = time.monotonic()
    async with asyncio.TaskGroup() as group:
        idle: list[_Single] = []
        for number in range(mails):
            await asyncio.sleep(began_at + number / rate - time.monotonic())
            single = idle.pop() if idle else _Single(url)
            group.create_task(_one(single, request(url, key, number), latencies, idle))
    return latencies


async def _one(single: _Single, wanted: bytes, latencies: list[float], idle: list[_Single]) -> None:
    latencies.append(await single.post(wanted))
    idle.append(single)


class _Single:
    """A kept connection that posts once when told to."""

    def __init__(self, url: str) -> None:
        self._place = _place(url)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, wanted: bytes) -> float:
        """Return the seconds from the post to the whole answer; connecting does not count."""
        if self._streams is None or self._streams[0].at_eof():
            self._streams = await asyncio.open_connection(*self._place)
        reader, writer = self._streams
        sent_at = time.monotonic()
        writer.write(wanted)
        head = await reader.readuntil(b"\r\n\r\n")
        answer = await reader.readexactly(_content_length(head))
        taken = time.monotonic() - sent_at
        assert head.startswith(b"HTTP/1.1 202"), head + answer
        return taken


async def post_once(url: str, key: str, number: int) -> float:
    """Post one message over a fresh connection; return the moment before it was sent."""
    single = _Single(url)
    taken = await single.post(request(url, key, number))
    return time.monotonic() - taken
