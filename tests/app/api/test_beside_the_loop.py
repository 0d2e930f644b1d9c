"""Large work is done beside the event loop, which goes on serving others meanwhile."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import pytest

from app.settings import DkimSettings, RedisSettings, Settings
from tests.app.api.client import MESSAGE, Client
from tests.fakes.waiting import eventually

JSON = {"Content-Type": "application/json"}
Result = TypeVar("Result")


class Gate(ThreadPoolExecutor):
    """Threads that begin nothing before the gate is open."""

    def __init__(self) -> None:
        super().__init__(2)
        self.opened = threading.Event()
        self.waiting = 0

    def submit(  # type: ignore[override]  # of all that it takes, the loop only uses this
        self, work: Callable[[], Result]
    ) -> Future[Result]:
        """Do it when the gate is open."""
        self.waiting += 1

        def later() -> Result:
            self.opened.wait()
            return work()

        return super().submit(later)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
def settings(valkey_url: str) -> Settings:
    """The usual limits."""
    return Settings(redis=RedisSettings(url=valkey_url), dkim=DkimSettings(required=False))


def bad_base64() -> bytes:
    """Return a message with 30 MB of base64 and an error at their end."""
    shell = json.dumps({**MESSAGE, "attachments": [{"filename": "a", "content": "~"}]})
    return shell.encode().replace(b"~", b"QUJD" * 7_500_000 + b"!")


def in_a_batch(message: bytes) -> bytes:
    return b'{"messages": [%b, %b]}' % (message, json.dumps(MESSAGE).encode())


@pytest.mark.parametrize(
    ("path", "shape", "status"),
    [("/messages", bytes, 422), ("/messages/batch", in_a_batch, 202)],
)
async def test_a_large_message_with_an_error_at_its_end_is_read_beside_the_loop(
    client: Client, gate: Gate, path: str, shape: Callable[[bytes], bytes], status: int
) -> None:
    asyncio.get_running_loop().set_default_executor(gate)
    body = shape(bad_base64())
    pieces = [body[at : at + 1_000_000] for at in range(0, len(body), 1_000_000)]
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(client.post_in_pieces(path, pieces, JSON))
        assert await eventually(lambda: reached(gate))
        assert (await client.send()).status == 202
        assert not sending.done()
        gate.opened.set()
    answer = sending.result()
    assert answer.status == status
    assert b"invalid_base64" in answer.body


async def test_even_small_batches_are_signed_beside_the_loop(client: Client, gate: Gate) -> None:
    asyncio.get_running_loop().set_default_executor(gate)
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(client.post("/messages/batch", {"messages": [MESSAGE] * 5}))
        assert await eventually(lambda: reached(gate))
        assert (await client.send()).status == 202
        assert not sending.done()
        gate.opened.set()
    assert sending.result().at("/accepted") == 5


async def reached(gate: Gate) -> bool:
    return gate.waiting > 0
