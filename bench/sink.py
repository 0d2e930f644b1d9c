"""Where the mail of the benchmark ends: Postfix' smtp-sink for load, and a listener that notes moments."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

_SINK_CONNECTIONS = 1000


@contextmanager
def smtp_sink(port: int) -> Iterator[int]:
    """Run smtp-sink on `port` of loopback while the block runs; give its process id."""
    arguments = ["smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", str(_SINK_CONNECTIONS)]
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as sink:
        try:
            yield sink.pid
        finally:
            sink.kill()


class MomentSink(asyncio.Protocol):
    """An SMTP server that takes everything and puts the moment of each MAIL FROM into `moments`."""

    def __init__(self, moments: asyncio.Queue[float]) -> None:
        self._moments = moments
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._takes_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"220 sink.example.org ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer each whole line."""
        self._buffer += data
        while b"\r\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            self._take(line)

    def _take(self, line: bytes) -> None:
        assert self._transport is not None
        if self._takes_data:
            if line == b".":
                self._takes_data = False
                self._transport.write(b"250 2.0.0 taken\r\n")
            return
        verb = line[:4].upper()
        if verb == b"MAIL":
            self._moments.put_nowait(time.monotonic())
        self._takes_data = verb == b"DATA"
        answers = {
            b"EHLO": b"250-sink.example.org\r\n250 PIPELINING\r\n",
            b"DATA": b"354 go ahead\r\n",
            b"QUIT": b"221 bye\r\n",
        }
        self._transport.write(answers.get(verb, b"250 ok\r\n"))
        if verb == b"QUIT":
            self._transport.close()
