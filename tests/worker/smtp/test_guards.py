"""A guard that takes its time before the final dot, as one does that writes something down first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.fakes.smtp import Connection, SmtpServer
from tests.worker.smtp.parts import client, envelope
from worker.outcomes.outcome import Verdict


class Slow:
    """Allows everything, but the final dot only when `until` has happened on the wire."""

    def __init__(self, asked: asyncio.Event, until: asyncio.Event) -> None:
        self._asked = asked
        self._until = until

    def stands(self) -> bool:
        return True

    async def may_end(self, _addresses: Sequence[str], /) -> bool:
        self._asked.set()
        await self._until.wait()
        # What was sent on loopback is there; let the event loop read it.
        for _ in range(10):
            await asyncio.sleep(0)
        return True


@pytest.mark.parametrize("size_bytes", [10, 300_000])
@pytest.mark.parametrize("farewell", [b"", b"421 4.3.2 Closing\r\n", b"250 2.0.0 Taken\r\n"])
async def test_a_host_that_leaves_while_the_guard_is_asked_was_sent_nothing_whole(
    server: SmtpServer, second: SmtpServer, size_bytes: int, farewell: bytes
) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def leave(connection: Connection) -> None:
        await connection.send("354 Go on")
        await asked.wait()
        await connection.send(farewell)
        connection.close()
        left.set()

    server.act("DATA", leave)
    mail = envelope(message=(b"x" * 70 + b"\r\n") * (size_bytes // 72 + 1))
    async with client() as sender:
        (outcome,) = (await sender.carry([server, second], mail, Slow(asked, left))).outcomes
    assert (outcome.verdict, outcome.in_doubt) == (Verdict.DELIVERED, False)
    assert not server.mails
    assert len(second.mails) == 1
