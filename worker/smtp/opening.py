"""The first words of a session, spoken by aiosmtplib: greeting, EHLO or HELO, STARTTLS.

aiosmtplib reads replies leniently and discards what came too early. So its protocol is watched here:
the strict reader sees each byte first, and what breaks the grammar or the order ends the connection.
This module is the wall to aiosmtplib; its exceptions become `Trouble` here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from app.events import Category
from app.mail.reply import Reply
from worker.outcomes.classify import Phase
from worker.smtp.dialogue import Dialogue
from worker.smtp.replies import ReplyReader
from worker.smtp.timeouts import Timeouts
from worker.smtp.trouble import InsecureTrouble, Trouble


class TlsTrouble(Trouble):
    """STARTTLS was refused, or TLS could not be agreed on; plain text may still work."""


@dataclass(frozen=True, slots=True)
class Names:
    """Who speaks to whom: our EHLO name, their name for TLS, and the context to agree on TLS with."""

    client: str
    server: str
    context: ssl.SSLContext


class WatchedProtocol(SMTPProtocol):
    """aiosmtplib's protocol, with the strict reader before it and each line noted.

    `trouble` is what the reader objected to; `last` is the latest reply, strictly parsed.
    """

    def __init__(self, reader: ReplyReader) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.reader = reader
        self.last: Reply | None = None
        self.trouble: Trouble | None = None
        self._owed = 1  # the greeting

    def data_received(self, data: bytes) -> None:
        """Let aiosmtplib see only what the strict reader accepts."""
        if self.trouble:
            return
        try:
            self._watch(data)
        except Trouble as trouble:
            self.trouble = trouble
            self.eof_received()  # wakes aiosmtplib, which then waits for nothing more
        else:
            super().data_received(data)

    def write(self, data: bytes) -> None:
        """Send a command as aiosmtplib does, and expect one reply to it and not a byte more."""
        if self.trouble:
            raise self.trouble
        self._owed += 1
        self.reader.transcript.sent((data.decode("ascii").rstrip("\r\n"),))
        super().write(data)

    def _watch(self, data: bytes) -> None:
        for reply in self.reader.feed(data):
            self._owed -= 1
            if self._owed < 0:
                raise Trouble("a reply came to no command", category=Category.PROTOCOL, reply=reply)
            self.last = reply
        # After the 220 to STARTTLS this is an attack (RFC 3207 §6, CVE-2011-0411), elsewhere a broken server.
        if self._owed == 0 and not self.reader.is_between_replies:
            raise Trouble("bytes came that answer no command", category=Category.PROTOCOL)


class Opening:
    """A session that is being opened over a connected transport. Each step raises Trouble."""

    def __init__(
        self,
        protocol: WatchedProtocol,
        transport: asyncio.Transport,
        names: Names,
        timeouts: Timeouts,
    ) -> None:
        self._protocol = protocol
        self._timeouts = timeouts
        self._client = aiosmtplib.SMTP(
            hostname=names.server,
            local_hostname=names.client,
            start_tls=False,
            tls_context=names.context,
        )
        # Handed over like this, the watched protocol serves it; `connect` would make one of its own.
        self._client.protocol, self._client.transport = protocol, transport

    async def greet(self) -> Reply:
        """Wait for the greeting (RFC 5321 §4.5.3.2.1) and return it."""
        with self._translated("the greeting", Phase.GREETING):
            await self._protocol.read_response(timeout=self._timeouts.greeting)
        greeting = self._reply()
        if greeting.code != 220:
            raise Trouble.from_reply("the greeting refuses the session", greeting, Phase.GREETING)
        return greeting

    async def hello(self) -> Mapping[str, str]:
        """Say EHLO, or HELO where that is refused (RFC 5321 §4.1.4), and return the extensions on offer."""
        with self._translated("EHLO", Phase.EHLO):
            try:
                await self._client.ehlo(timeout=self._timeouts.ehlo)
            except aiosmtplib.SMTPHeloError as error:
                if error.code < 500:
                    raise
                await self._client.helo(timeout=self._timeouts.ehlo)
        return self._client.esmtp_extensions

    async def secure(self) -> Mapping[str, str]:
        """Say STARTTLS, agree on TLS and say EHLO again, since what was on offer before counts no more.

        Raises TlsTrouble where plain text may still work (RFC 3207 §4.2).
        """
        try:
            await self._client.starttls(timeout=self._timeouts.ehlo)
            return await self.hello()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            if self._reply().code == 421:
                raise Trouble.closing(self._reply()) from error
            said = self._reply() if isinstance(error, aiosmtplib.SMTPResponseException) else None
            raise self._protocol.trouble or TlsTrouble(f"no TLS: {error}", reply=said) from error
        except Trouble as trouble:
            # TLS 1.3 servers tell of a failed handshake only after we think it is done.
            if trouble.reply or self._protocol.trouble:
                raise
            raise TlsTrouble(trouble.text) from trouble

    def can_part(self, trouble: Trouble) -> bool:
        """Tell whether QUIT may be said after this trouble: the host will not do, but follows the protocol."""
        is_refusal = trouble.reply is not None and trouble.reply.code != 421
        return self._is_alive and (is_refusal or isinstance(trouble, InsecureTrouble))

    def dialogue(self) -> Dialogue:
        """Hand the session over. Raises Trouble if it is of no more use."""
        return Dialogue(self.transport, self._protocol.reader)

    @property
    def transport(self) -> asyncio.Transport:
        """The transport as it is now: a TLS transport after `secure`. Raises Trouble if it is of no more use."""
        if not self._is_alive:
            raise self._protocol.trouble or Trouble("the other side closed the connection")
        return self._client.transport  # type: ignore[return-value]  # aiosmtplib declares the base class of what it has

    @property
    def _is_alive(self) -> bool:
        transport = self._client.transport
        return not (self._protocol.trouble or transport is None or transport.is_closing())

    def _reply(self) -> Reply:
        if self._protocol.last is None:
            raise Trouble("the other side closed the connection")
        return self._protocol.last

    @contextmanager
    def _translated(self, step: str, phase: Phase) -> Iterator[None]:
        try:
            yield
        except aiosmtplib.SMTPResponseException as error:
            raise Trouble.from_reply(f"{step} was refused", self._reply(), phase) from error
        except TimeoutError as error:
            raise Trouble(f"no answer came in time to {step}") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise self._protocol.trouble or Trouble(f"the connection was lost at {step}") from error
