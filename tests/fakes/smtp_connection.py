"""The server's end of an SMTP connection, as actions and scripts of `tests.fakes.smtp` use it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Mail:
    """A message that came whole.

    `wire` is what came after DATA without the final dot, `content` the same without dot-stuffing.
    """

    mail_from: str
    recipients: tuple[str, ...]
    parameters: str
    content: bytes
    wire: bytes
    tls: str | None
    session: int


@dataclass(slots=True)
class Session:
    """One connection: the address it came from, the command lines without CRLF, and how it ended."""

    number: int
    peer: str
    commands: list[str] = field(default_factory=list)
    tls: str | None = None
    is_closed: bool = False

    @property
    def ehlo_name(self) -> str:
        """What the client called itself last."""
        greetings = [each for each in self.commands if each[:4].upper() in {"EHLO", "HELO"}]
        return greetings[-1].partition(" ")[2]

    def verbs(self) -> list[str]:
        """Return the verbs of the commands."""
        return [command.partition(" ")[0].upper() for command in self.commands]


class Connection:
    """The server's end of one connection, for actions and scripts."""

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.session = Session(number, writer.get_extra_info("peername")[0])
        self.said = b""
        self._reader = reader
        self._writer = writer

    async def send(self, reply: str | bytes) -> None:
        """Send a reply; text gets its CRLF, bytes go out as they are."""
        self.said = reply if isinstance(reply, bytes) else reply.encode() + b"\r\n"
        self._writer.write(self.said)
        await self._writer.drain()

    async def line(self) -> str:
        """Return the next command without its line end. Raises EOFError when the client is gone."""
        raw = await self._reader.readline()
        if not raw.endswith(b"\n"):
            raise EOFError
        command = raw.removesuffix(b"\r\n").decode("latin-1")
        self.session.commands.append(command)
        return command

    async def expect(self, verb: str) -> str:
        """Return the next command, which has to start with `verb`."""
        command = await self.line()
        assert command.upper().startswith(verb), f"expected {verb}, got {command!r}"
        return command

    async def message(self) -> bytes:
        """Return all bytes up to the final dot: nothing but CRLF.CRLF ends a message (RFC 5321 §4.1.1.4)."""
        lines = [b"\r\n"]
        while (raw := await self._reader.readline()) != b".\r\n" or not lines[-1].endswith(b"\r\n"):
            if not raw.endswith(b"\n"):
                raise EOFError
            lines.append(raw)
        return b"".join(lines[1:])

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Take the server's part in a TLS handshake. Raises OSError when it fails."""
        await self._writer.start_tls(context)
        self.session.tls = self._writer.get_extra_info("ssl_object").version()

    async def some(self) -> bytes:
        """Return what comes next, whatever it is; nothing if the client is gone."""
        return await self._reader.read(65536)

    async def until_gone(self) -> None:
        """Wait until the client closes, taking no notice of what it sends."""
        while await self.some():
            pass

    def stop_reading(self) -> None:
        """Take nothing more from the wire, so that the client's window fills up."""
        transport = self._writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()

    def end_writing(self) -> None:
        """Say that nothing more will come (TCP FIN), without closing; not possible under TLS."""
        self._writer.write_eof()

    def close(self) -> None:
        """Close the connection in good order."""
        self._writer.close()

    def reset(self) -> None:
        """Break the connection with a TCP RST."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
