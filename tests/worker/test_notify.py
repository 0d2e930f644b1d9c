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
from app.settings.delivering import DnsSettings
from app.spool.workers.claims import Parcel
from tests.fakes.dns import DnsServer, Trouble
from tests.fakes.letters import Letter, queued
from tests.fakes.waiting import eventually
from worker.notify import Notifier, signature_headers
from worker.resources import utc_now
from worker.routing.resolver import Resolver

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


def endpoint(url: str) -> Endpoint:
    return Endpoint(EndpointId("end_1"), url, SECRET, (), "", datetime.now(UTC))


async def post(url: str, settings: WebhookSettings) -> str | None:
    async with (
        DnsServer() as dns,
        Resolver(DnsSettings(nameservers=(dns.address,))) as resolver,
        Notifier.open(settings, resolver, utc_now) as notifier,
    ):
        return await notifier.post(endpoint(url), PARCEL)


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


@asynccontextmanager
async def named() -> AsyncIterator[tuple[DnsServer, Notifier]]:
    """Give a notifier that asks a name server of records, and waits long for its answers."""
    settings = WebhookSettings(allowed_networks=LOOPBACK)
    async with DnsServer() as dns:
        asked = DnsSettings(nameservers=(dns.address,), query_timeout=timedelta(seconds=30))
        async with Resolver(asked) as resolver, Notifier.open(settings, resolver, utc_now) as it:
            yield dns, it


async def test_endpoints_whose_name_servers_are_silent_do_not_hold_up_others() -> None:
    async with (
        answering(b"HTTP/1.1 204 No Content\r\n\r\n") as (port, heads),
        named() as (dns, notifier),
        asyncio.TaskGroup() as tasks,
    ):
        dns.a("good.example", "127.0.0.1")
        silent = [f"{n}.silent.example" for n in range(100)]
        for name in silent:
            dns.trouble(name, Trouble.SILENCE)
        waiting = [
            tasks.create_task(notifier.post(endpoint(f"http://{name}:{port}/"), PARCEL))
            for name in silent
        ]

        async def all_are_asked() -> bool:
            return all(dns.questions[name, "A"] for name in silent)

        assert await eventually(all_are_asked)
        assert await notifier.post(endpoint(f"http://good.example:{port}/hook"), PARCEL) is None
        assert heads[0].startswith(b"POST /hook HTTP/1.1\r\nHost: good.example:")
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [(None, "the DNS has no address for it"), (Trouble.SERVFAIL, "answered SERVFAIL")],
)
async def test_a_name_without_addresses_is_a_failure_that_says_so(
    trouble: Trouble | None, reason: str
) -> None:
    async with named() as (dns, notifier):
        if trouble:
            dns.trouble("nowhere.example", trouble)
        told = await notifier.post(endpoint("https://nowhere.example/"), PARCEL)
        assert told is not None
        assert "nowhere.example" in told
        assert reason in told


async def test_this_machine_needs_no_name_server() -> None:
    async with (
        answering(b"HTTP/1.1 204 No Content\r\n\r\n") as (port, _),
        named() as (dns, notifier),
    ):
        assert await notifier.post(endpoint(f"http://localhost:{port}/"), PARCEL) is None
        assert not dns.questions
