from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from app.ids import EndpointId
from app.projects.endpoints import Endpoint
from app.settings import WebhookSettings
from app.spool.lanes import Parcel
from tests.fakes.letters import Letter, queued
from worker.notify import Notifier, signature_headers
from worker.resources import utc_now

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK = (ip_network("127.0.0.0/8"),)
PARCEL = Parcel("msg_1/1", 1, 0, queued(Letter().message())[0])


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve one fixed answer on loopback; give the port and the heads of the requests that came."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # the notifier has gone
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


async def post(url: str, settings: WebhookSettings) -> str | None:
    endpoint = Endpoint(EndpointId("end_1"), url, SECRET, (), "", datetime.now(UTC))
    async with Notifier.open(settings, utc_now) as notifier:
        return await notifier.post(endpoint, PARCEL)


@given(body=st.binary(max_size=200).map(lambda raw: raw.hex().encode()))
def test_signatures_satisfy_an_independent_verifier(body: bytes) -> None:
    headers = signature_headers(SECRET, "evt_1", datetime.now(UTC), b'{"x":"%b"}' % body)
    assert Webhook(SECRET).verify(b'{"x":"%b"}' % body, headers) == {"x": body.decode()}


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", None),
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "HTTP 500"),
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", "HTTP 410"),
    ],
)
async def test_only_a_2xx_counts_as_taken(answer: bytes, trouble: str | None) -> None:
    async with answering(answer) as (port, heads):
        settings = WebhookSettings(allowed_networks=LOOPBACK)
        assert await post(f"http://127.0.0.1:{port}/hook", settings) == trouble
        assert heads[0].startswith(b"POST /hook HTTP/1.1\r\n")


async def test_a_redirect_is_a_failure_and_is_not_followed() -> None:
    async with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as (elsewhere, led_to):
        answer = b"HTTP/1.1 307 Over There\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n"
        async with answering(answer % elsewhere) as (port, _):
            settings = WebhookSettings(allowed_networks=LOOPBACK)
            assert await post(f"http://127.0.0.1:{port}/hook", settings) == "HTTP 307"
        assert led_to == []


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433"]
)
async def test_a_private_address_is_not_connected_to_however_it_is_written(host: str) -> None:
    async with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as (port, heads):
        trouble = await post(f"http://{host}:{port}/hook", WebhookSettings())
        assert trouble is not None
        assert heads == []


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)
async def test_a_broken_answer_is_a_failure(answer: bytes) -> None:
    async with answering(answer) as (port, _):
        assert await post(f"http://127.0.0.1:{port}/", WebhookSettings(allowed_networks=LOOPBACK))


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 200_000
    async with answering(endless) as (port, _):
        assert (
            await post(f"http://127.0.0.1:{port}/", WebhookSettings(allowed_networks=LOOPBACK))
            is None
        )


async def test_a_silent_endpoint_is_given_up_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = WebhookSettings(allowed_networks=LOOPBACK, timeout=timedelta(milliseconds=100))
        trouble = await post(f"http://127.0.0.1:{silent.getsockname()[1]}/", settings)
        assert trouble is not None
        assert "Timeout" in trouble
