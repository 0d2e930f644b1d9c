"""HTTP as hostile and as old-fashioned clients speak it, over sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI

from app.server.connection import Connection
from tests.app.api.client import MESSAGE, Client
from tests.app.api.conftest import served

BOUND = 64 * 1024
BODY = json.dumps(MESSAGE).encode()


@asynccontextmanager
async def connected(
    client: Client,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.close()


def head(client: Client, *fields: str, length: int | None = len(BODY)) -> bytes:
    lines = [
        "POST /messages HTTP/1.1",
        "Host: mail.example",
        f"Authorization: Bearer {client.key}",
        "Content-Type: application/json",
        *([f"Content-Length: {length}"] if length is not None else []),
        *fields,
    ]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


async def is_cut_off(writer: asyncio.StreamWriter) -> bool:
    """Send megabytes; tell whether the other side closes before it has them all."""
    try:
        for _ in range(100):
            writer.write(b"x" * 100_000)
            await writer.drain()
            await asyncio.sleep(0)
    except ConnectionError:
        return True
    return False


async def status(reader: asyncio.StreamReader) -> int:
    return int((await reader.readline()).split(b" ")[1])


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.3"])
@pytest.mark.parametrize("is_split", [False, True])
async def test_an_offer_to_upgrade_is_not_taken_up_and_loses_no_body(
    client: Client, protocol: str, is_split: bool
) -> None:
    offer = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAEA")
    async with connected(client) as (reader, writer):
        writer.write(head(client, *offer))
        if is_split:
            await asyncio.sleep(0.05)
        writer.write(BODY)
        assert await status(reader) == 202
        # And the connection goes on.
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: mail.example\r\nConnection: close\r\n\r\n")
        assert b"HTTP/1.1 200 " in await reader.read()


async def test_an_offer_to_upgrade_does_not_undo_a_wish_to_close(client: Client) -> None:
    async with connected(client) as (reader, writer):
        writer.write(head(client, "Connection: close, Upgrade", "Upgrade: h2c") + BODY)
        assert (await reader.read()).startswith(b"HTTP/1.1 202 ")


async def test_this_is_no_proxy(client: Client) -> None:
    async with connected(client) as (reader, writer):
        writer.write(b"CONNECT mail.example:25 HTTP/1.1\r\nHost: mail.example\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("beginning", "drop"),
    [
        (b"GET /healthz HTTP/1.1\r\n", b"X-Many: some\r\n"),
        (b"GET /healthz HTTP/1.1\r\nX-Long: ", b"x" * 100),
        (b"GET /healthz HTTP/1.1\r\nX", b"-Long" * 10),
        (b"GET /", b"x" * 100),
    ],
    ids=["fields", "value", "name", "request line"],
)
async def test_a_head_without_end_is_cut_off(client: Client, beginning: bytes, drop: bytes) -> None:
    async with connected(client) as (reader, writer):
        writer.write(beginning)
        # One drop more than is taken, so that nothing is left unread when the connection is closed.
        for _ in range((BOUND - len(beginning)) // len(drop) + 1):
            writer.write(drop)
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")


async def test_trailers_without_end_are_cut_off(client: Client) -> None:
    async with connected(client) as (_, writer):
        chunked = head(client, "Transfer-Encoding: chunked", length=None)
        writer.write(chunked + b"%x\r\n%b\r\n0\r\nX-Trailer: " % (len(BODY), BODY))
        assert await is_cut_off(writer)


async def test_a_large_head_within_the_bound_is_taken(client: Client) -> None:
    async with connected(client) as (reader, writer):
        writer.write(head(client, "X-Large: " + "x" * 50_000) + BODY)
        assert await status(reader) == 202


class Impatient(Connection):
    """Waits for a tenth of a second only."""

    patience_s = 0.1


async def test_a_head_that_does_not_come_is_not_waited_for(app: FastAPI) -> None:
    async with served(app, Impatient) as client:
        for beginning in (b"", b"GET /healthz HTTP/1.1\r\nHost:"):
            async with connected(client) as (reader, writer):
                writer.write(beginning)
                assert await reader.read() == b""
