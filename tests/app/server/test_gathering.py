"""Writes that belong together reach the socket together."""

from __future__ import annotations

import asyncio

from app.server.gathering import GatheringTransport


class Recorder(asyncio.Transport):
    """A transport that remembers what it was told to do."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[bytes | str] = []
        self.has_lost = False

    def is_closing(self) -> bool:
        return self.has_lost

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told.append(bytes(data))

    def close(self) -> None:
        self.told.append("close")

    def abort(self) -> None:
        self.told.append("abort")


def transports() -> tuple[Recorder, GatheringTransport]:
    recorder = Recorder()
    return recorder, GatheringTransport(recorder, asyncio.get_running_loop())


async def test_what_is_written_in_one_turn_of_the_loop_is_one_write() -> None:
    recorder, transport = transports()
    transport.write(b"head")
    transport.writelines([b"bo", b"dy"])
    assert recorder.told == []
    await asyncio.sleep(0)
    assert recorder.told == [b"headbody"]
    transport.write(b"next")
    await asyncio.sleep(0)
    assert recorder.told == [b"headbody", b"next"]


async def test_nothing_is_lost_when_it_closes() -> None:
    recorder, transport = transports()
    transport.write(b"last words")
    transport.close()
    await asyncio.sleep(0)
    assert recorder.told == [b"last words", "close"]


async def test_nothing_is_written_after_it_was_cut() -> None:
    recorder, transport = transports()
    transport.write(b"half")
    transport.abort()
    await asyncio.sleep(0)
    assert recorder.told == ["abort"]


async def test_nothing_is_written_to_a_client_that_has_gone_meanwhile() -> None:
    recorder, transport = transports()
    transport.write(b"too late")
    recorder.has_lost = True
    await asyncio.sleep(0)
    assert recorder.told == []
