"""A process that is the rest of the world: the DNS of many domains, and an SMTP server for each.

Domain `d7.example` has an exchanger and an address of its own on loopback, so it is a site of its own.
Every reply comes one round trip late, as it would over a wire that long; the greeting comes two round
trips after the connection began, since connecting takes one. So that is exact for mails that fit into the
first window of TCP (14 KB), and needs neither root nor a kernel that delays packets. `slow.example` is a site
whose replies take seconds.

It takes commands on standard input and answers each with a line of JSON: `bench.farm` is the other side.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import sys
import time
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import orjson
import uvloop

from tests.fakes.dns import DnsServer
from tests.fakes.smtp import self_signed

SLOW = "slow.example"
_SLOW_ADDRESS = "127.9.9.9"
_TTL_S = 86_400
_BACKLOG = 4096
"""Connections that may wait for their greeting: one too many would wait for ever, and its mail with it."""
_END = b"\r\n.\r\n"
_ANSWERS = {
    b"EHLO": b"250-sink.example\r\n250 PIPELINING\r\n",
    b"HELO": b"250 sink.example\r\n",
    b"DATA": b"354 go ahead\r\n",
    b"QUIT": b"221 bye\r\n",
    b"STAR": b"220 go on\r\n",
}
_OFFERING_TLS = b"250-sink.example\r\n250-STARTTLS\r\n250 PIPELINING\r\n"


@dataclass(slots=True)
class World:
    """How long a round trip takes (seconds), and what was seen since somebody asked last."""

    round_trip: float = 0.0
    slow_reply: float = 0.0
    open: int = 0
    peak: int = 0
    mails: int = 0
    connection_seconds: float = 0.0
    changed_at: float = field(default_factory=time.monotonic)
    tls: ssl.SSLContext | None = None
    taken: dict[str, float] = field(default_factory=dict)
    """When the mail to a recipient was taken, on the monotonic clock."""

    def count(self, change: int) -> None:
        """Note a connection that came (1), one that went (-1), or the time that passed (0)."""
        now = time.monotonic()
        self.connection_seconds += self.open * (now - self.changed_at)
        self.changed_at = now
        self.open += change
        self.peak = max(self.peak, self.open)

    def look(self) -> dict[str, object]:
        """Return what was seen, and begin anew."""
        self.count(0)
        seen = {
            "open": self.open,
            "peak": self.peak,
            "mails": self.mails,
            "connection_seconds": self.connection_seconds,
            "taken": self.taken,
        }
        self.peak, self.mails, self.connection_seconds, self.taken = self.open, 0, 0.0, {}
        return seen


@runtime_checkable
class _Connection(Protocol):
    """What uvloop's transports can do; they are no instances of asyncio's."""

    def get_extra_info(self, name: str) -> tuple[str, int]: ...
    def write(self, data: bytes) -> None: ...
    def is_closing(self) -> bool: ...
    def pause_reading(self) -> None: ...
    def close(self) -> None: ...


class Reception(asyncio.Protocol):
    """One SMTP session that takes everything, late."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._loop = asyncio.get_running_loop()
        self._transport: _Connection | None = None
        self._slow = False
        self._buffer = b""
        self._in_data = False
        self._offers_tls = world.tls is not None
        self._beginning: asyncio.Task[None] | None = None
        self._recipients: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, _Connection)
        self._transport = transport
        self._slow = transport.get_extra_info("sockname")[0] == _SLOW_ADDRESS
        self._world.count(1)
        self._reply(b"220 sink.example ESMTP\r\n", trips=2)

    def connection_lost(self, _: Exception | None) -> None:
        """Count it out."""
        self._world.count(-1)

    def data_received(self, data: bytes) -> None:
        """Answer all that is whole, in one segment."""
        self._buffer += data
        answers = b"".join(iter(self._take, b""))
        if answers:
            self._reply(answers)

    def _take(self) -> bytes:
        """Take the next line or body and return its answer; nothing where it is not whole."""
        what, end, rest = self._buffer.partition(_END if self._in_data else b"\r\n")
        if not end:
            return b""
        self._buffer = rest
        if self._in_data:
            self._in_data = False
            return self._taken()
        return self._answer(what)

    def _taken(self) -> bytes:
        moment = time.monotonic()
        self._world.mails += len(self._recipients)
        self._world.taken.update(dict.fromkeys(self._recipients, moment))
        self._recipients.clear()
        return b"250 2.0.0 taken\r\n"

    def _answer(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"RCPT":
            self._recipients.append(line[line.index(b"<") + 1 : line.index(b">")].decode())
        self._in_data = verb == b"DATA"
        if verb == b"EHLO" and self._offers_tls:
            return _OFFERING_TLS
        return _ANSWERS.get(verb, b"250 ok\r\n")

    def _reply(self, answers: bytes, *, trips: int = 1) -> None:
        late = self._world.slow_reply if self._slow else self._world.round_trip * trips
        if late:
            self._loop.call_later(late, self._send, answers)
        else:
            self._send(answers)

    def _send(self, answers: bytes) -> None:
        assert self._transport is not None
        if self._transport.is_closing():
            return
        self._transport.write(answers)
        if answers.endswith(b"221 bye\r\n"):
            self._transport.close()
        if answers == _ANSWERS[b"STAR"]:
            self._transport.pause_reading()  # what comes next is for TLS, however soon it comes
            self._beginning = self._loop.create_task(self._begin_tls())

    async def _begin_tls(self) -> None:
        assert self._world.tls is not None
        self._offers_tls = False
        secured = await self._loop.start_tls(
            self._transport,  # type: ignore[arg-type]  # as above
            self,
            self._world.tls,
            server_side=True,
        )
        assert isinstance(secured, _Connection)
        self._transport = secured


def _publish(dns: DnsServer, domains: int) -> None:
    addresses = {f"d{n}.example": f"127.{16 + n // 250}.{n % 250}.1" for n in range(domains)}
    for domain, address in {**addresses, SLOW: _SLOW_ADDRESS}.items():
        dns.mx(domain, (10, f"mx.{domain}"))
        dns.a(f"mx.{domain}", address)


async def serve(port: int, domains: int, tls: ssl.SSLContext | None) -> None:
    """Serve until standard input ends, with STARTTLS where there is a context for it."""
    world = World(tls=tls)
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    server = await loop.create_server(lambda: Reception(world), "0.0.0.0", port, backlog=_BACKLOG)
    async with server, DnsServer(ttl=_TTL_S) as dns:
        _publish(dns, domains)
        _say({"dns": dns.address})
        async for line in commands:
            for name, value in orjson.loads(line).items():
                setattr(world, name, value)
            _say(world.look())


def _say(answer: dict[str, object]) -> None:
    sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Serve on the port that is named."""
    parser = argparse.ArgumentParser(prog="bench.receivers", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--domains", type=int, required=True)
    parser.add_argument("--tls", action="store_true", help="offer STARTTLS")
    arguments = parser.parse_args()
    tls = self_signed("sink.example") if arguments.tls else None
    uvloop.run(serve(arguments.port, arguments.domains, tls))


if __name__ == "__main__":
    main()
