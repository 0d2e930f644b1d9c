"""A real SMTP server on loopback, byte by byte under the control of a test.

Left alone it accepts everything, with PIPELINING, 8BITMIME, ENHANCEDSTATUSCODES and SIZE:

    async with SmtpServer() as server:
        ...                                       # send to server.host, server.port
        mail, = await server.received(1)          # waits, with a deadline
        assert mail.recipients == ("b@example.org",)

It can be told to answer a command otherwise, always or a few times, whole or broken:

    server.reply("RCPT", "550 5.1.1 No such user", when="nobody@")
    server.reply("DATA", "451 Later", times=1)
    server.reply("MAIL", b"250 a\r\n250 b\r\n")   # bytes go out as they are
    server.act("DOT", drop)                       # close without a word; or reset, half_close, hang, hold(event)
    server.act("GREETING", reply_then_drop("554 Go away"))

The steps are GREETING, the verbs (EHLO, HELO, STARTTLS, MAIL, RCPT, DATA, RSET, NOOP, QUIT), and DOT,
which answers the end of a message. Later rules come first. For full control a coroutine may speak to
connections alone:

    async def script(connection: Connection) -> None:
        await connection.send("220 hello")
        await connection.expect("EHLO")
        await connection.send("250 fake")
    server.script = script

Several exchangers on one port, as MX hosts have it: `async with smtp_servers("127.0.0.2", "127.0.0.3")`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

import trustme

from tests.fakes.smtp_connection import Connection, Mail, Session
from tests.fakes.smtp_manners import Action, Conversation

__all__ = [
    "Action",
    "Connection",
    "Mail",
    "Session",
    "SmtpServer",
    "drop",
    "half_close",
    "halt",
    "hang",
    "hold",
    "reply_then_drop",
    "reset",
    "self_signed",
    "smtp_servers",
]

DEADLINE = 30.0
"""Seconds that waiting for something may take before the test fails."""


async def drop(connection: Connection) -> None:
    """Close without a word."""
    connection.close()


async def reset(connection: Connection) -> None:
    """Break the connection."""
    connection.reset()


async def half_close(connection: Connection) -> None:
    """End our direction only, and go on reading."""
    connection.end_writing()
    await connection.until_gone()


async def hang(connection: Connection) -> None:
    """Say nothing until the client gives up."""
    await connection.until_gone()


def hold(
    event: asyncio.Event,
    reply: str | bytes = "250 2.0.0 At last",
    *,
    reached: asyncio.Event | None = None,
) -> Action:
    """Answer only when `event` is set; `reached` is set when it is waited for."""

    async def action(connection: Connection) -> None:
        if reached:
            reached.set()
        await event.wait()
        await connection.send(reply)

    return action


def halt(reached: asyncio.Event) -> Action:
    """Say that the step was reached, and answer nothing until the client is gone."""

    async def action(connection: Connection) -> None:
        reached.set()
        await connection.until_gone()

    return action


def reply_then_drop(reply: str | bytes) -> Action:
    """Answer, whole or broken, and close."""

    async def action(connection: Connection) -> None:
        await connection.send(reply)
        connection.close()

    return action


@dataclass(slots=True)
class _Rule:
    step: str
    action: Action
    when: str
    times: int | None

    def fits(self, step: str, command: str) -> bool:
        return step == self.step and self.when in command and self.times != 0


class SmtpServer:
    """See the module. With `certificate` STARTTLS is offered; public attributes may be changed at any time.

    `mails` were taken with a 2xx; `refused` came whole, but got another answer or none. `peak` is how many
    connections there were at a time.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        certificate: ssl.SSLContext | None = None,
        extensions: Sequence[str] = (
            "PIPELINING",
            "8BITMIME",
            "ENHANCEDSTATUSCODES",
            "SIZE 50000000",
        ),
    ) -> None:
        self.host = host
        self.port = port
        self.certificate = certificate
        self.extensions = list(extensions)
        self.script: Action | None = None
        self.mails: list[Mail] = []
        self.refused: list[Mail] = []
        self.sessions: list[Session] = []
        self.peak = 0
        self._rules: list[_Rule] = []
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> SmtpServer:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=2**24)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Listen no more and end all connections."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def reply(
        self, step: str, reply: str | bytes, *, when: str = "", times: int | None = None
    ) -> None:
        """Answer `step` like this, for commands that contain `when`, at most so many times."""

        async def action(connection: Connection) -> None:
            await connection.send(reply)

        self.act(step, action, when=when, times=times)

    def act(self, step: str, action: Action, *, when: str = "", times: int | None = None) -> None:
        """Do this at `step` instead of what is usual, for commands that contain `when`."""
        self._rules.insert(0, _Rule(step, action, when, times))

    def behave(self) -> None:
        """Forget all rules: accept everything again."""
        self._rules.clear()
        self.script = None

    async def received(self, count: int) -> list[Mail]:
        """Wait until `count` mails are taken, and return all there are."""
        await self.until(lambda: len(self.mails) >= count)
        return list(self.mails)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` is true; it is asked after each thing that happens here."""
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(condition)

    async def happened(self) -> None:
        """Let those who wait look again."""
        async with self._changed:
            self._changed.notify_all()

    def rule(self, step: str, command: str) -> Action | None:
        """Return what a test wants at this step, and count it."""
        for rule in self._rules:
            if rule.fits(step, command):
                if rule.times is not None:
                    rule.times -= 1
                return rule.action
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        self.peak = max(self.peak, len(self._running))
        connection = Connection(len(self.sessions) + 1, reader, writer)
        self.sessions.append(connection.session)
        try:
            await self.happened()
            await (self.script(connection) if self.script else Conversation(self, connection).run())
        except (EOFError, OSError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            connection.session.is_closed = True
            self._running.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self.happened()


@contextlib.asynccontextmanager
async def smtp_servers(*hosts: str) -> AsyncIterator[tuple[SmtpServer, ...]]:
    """Start a server on each address, all on one port that is free on all of them."""
    async with contextlib.AsyncExitStack() as stack:
        for attempt in range(10):
            servers: list[SmtpServer] = []
            try:
                for host in hosts:
                    port = servers[0].port if servers else 0
                    servers.append(await stack.enter_async_context(SmtpServer(host, port)))
                break
            except OSError:
                if attempt == 9:
                    raise
        yield tuple(servers)


def self_signed(*names: str) -> ssl.SSLContext:
    """Return a server context whose certificate nobody trusts; `names` stand in it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(*(names or ("elsewhere.example",))).configure_cert(context)
    return context
