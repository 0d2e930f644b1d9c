"""Opening a session with a host: TCP, greeting, EHLO, TLS where offered; then the dialogue takes over."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from app.events import Category, Peer
from app.mail.reply import Reply
from app.networks import family_of
from app.settings import DeliverySettings
from worker.routing.hosts import Host
from worker.sites.sources import Source
from worker.smtp.dialogue import Dialogue
from worker.smtp.opening import Names, Opening, TlsTrouble, WatchedProtocol
from worker.smtp.replies import ReplyReader
from worker.smtp.timeouts import Timeouts
from worker.smtp.tls import PlainAddresses, opportunistic_context
from worker.smtp.transcript import Transcript
from worker.smtp.trouble import Trouble

_BIND_ADDRESS_NO_PORT = 24
"""IP_BIND_ADDRESS_NO_PORT of Linux, which the socket module names only from Python 3.12 on."""
_OURS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EPERM}
)
"""What a connection fails with where this machine is short of something, or forbids it: no fault of the host."""
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_LIMITS_OF_MAILS = ("MAILMAX", "RCPTDOMAINMAX")


@dataclass(frozen=True, slots=True)
class Features:
    """What a host offers in its last EHLO, as far as we use it; None means no limit is named.

    Malformed offers count as not made. ENHANCEDSTATUSCODES is not among them: a well-formed code that
    agrees with its reply is believed whoever sends it, since greetings come before any offer.
    """

    pipelining: bool = False
    size: bool = False
    eight_bits: bool = False
    utf8: bool = False
    most_bytes: int | None = None
    most_recipients: int | None = None
    most_mails: int | None = None

    @classmethod
    def of(cls, extensions: Mapping[str, str], greeting: Reply) -> Features:
        """Read the extensions (lower-case keywords) of RFC 2920, 1870, 6152, 6531 and 9422."""
        limits = dict(
            limit.partition("=")[::2] for limit in extensions.get("limits", "").upper().split()
        )
        return cls(
            # A firewall that masks its greeting with asterisks breaks pipelining.
            pipelining="pipelining" in extensions and "**" not in greeting.text,
            size="size" in extensions,
            eight_bits="8bitmime" in extensions,
            utf8="smtputf8" in extensions,
            most_bytes=_number(extensions.get("size", "")),
            most_recipients=_number(limits.get("RCPTMAX", "")),
            # A transaction of ours names one domain, so no more mails name no more domains.
            most_mails=min(
                filter(None, (_number(limits.get(name, "")) for name in _LIMITS_OF_MAILS)),
                default=None,
            ),
        )


def _number(text: str) -> int | None:
    """Return a positive number; None for anything else (RFC 1870 §4: a SIZE of 0 names no limit)."""
    text = text.strip()
    return int(text) if _NUMBER.fullmatch(text) else None


@dataclass(slots=True, eq=False)
class Session:
    """An open session. `mails` counts transactions; `needs_reset` tells that one was left half-way."""

    host: Host
    source: Source | None
    peer: Peer
    features: Features
    dialogue: Dialogue
    mails: int = 0
    needs_reset: bool = False


class Opener:
    """Opens sessions, and remembers for a while which addresses cannot agree on TLS."""

    def __init__(self, settings: DeliverySettings) -> None:
        self._ehlo_name = settings.ehlo_name.rstrip(".")
        self._timeouts = Timeouts.of(settings.timeouts)
        self._context = opportunistic_context()
        self._plain = PlainAddresses()

    async def open(
        self, host: Host, transcript: Transcript, source: Source | None = None
    ) -> Session:
        """Open a session with `host` from `source`, with TLS if it can be had. Raises Trouble.

        On cancellation the connection is closed.
        """
        if host.address not in self._plain:
            try:
                return await self._open(host, source, transcript, wants_tls=True)
            except TlsTrouble:
                self._plain.remember(host.address)
        return await self._open(host, source, transcript, wants_tls=False)

    async def _open(
        self, host: Host, source: Source | None, transcript: Transcript, *, wants_tls: bool
    ) -> Session:
        protocol = WatchedProtocol(ReplyReader(transcript))
        transport = await self._connect(host, source, protocol)
        try:
            ehlo_name = source.ehlo_name if source else self._ehlo_name
            names = Names(ehlo_name, host.name, self._context)
            opening = Opening(protocol, transport, names, self._timeouts)
            greeting = await opening.greet()
            extensions = await opening.hello()
            if wants_tls and "starttls" in extensions:
                extensions = await opening.secure()
            dialogue = Dialogue(opening.transport, protocol.reader)
            features = Features.of(extensions, greeting)
            return Session(host, source, _peer(host, source, opening), features, dialogue)
        except BaseException:
            transport.abort()
            raise

    async def _connect(
        self, host: Host, source: Source | None, protocol: WatchedProtocol
    ) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        sock = _socket(host, source)
        try:
            async with asyncio.timeout(self._timeouts.connect):
                await loop.sock_connect(sock, (host.address, host.port))
            transport, _ = await loop.create_connection(lambda: protocol, sock=sock)
        except OSError as error:
            sock.close()
            category = Category.LOCAL if error.errno in _OURS else Category.NETWORK
            raise Trouble(f"cannot connect: {_reason(error)}", category=category) from error
        except BaseException:
            sock.close()
            raise
        return transport


def peer_of(host: Host, source: Source | None, tls: str | None = None) -> Peer:
    """Return who is spoken to, and from where."""
    if source is None:
        return Peer(host.name, host.address, tls)
    return Peer(host.name, host.address, tls, source.name, source.address_to(host))


def _peer(host: Host, source: Source | None, opening: Opening) -> Peer:
    ssl_object = opening.transport.get_extra_info("ssl_object")
    return peer_of(host, source, ssl_object.version() if ssl_object else None)


def _socket(host: Host, source: Source | None) -> socket.socket:
    """Return a socket for a connection to `host`, bound to the address of `source`. Raises Trouble.

    What fails here is our own trouble, and says nothing of the host.
    """
    try:
        sock = socket.socket(family_of(host.address), socket.SOCK_STREAM)
    except OSError as error:  # no file descriptors left, or no such family on this machine
        raise Trouble(f"no socket: {_reason(error)}", category=Category.LOCAL) from error
    sock.setblocking(False)
    address = source.address_to(host) if source else None
    if address is None:
        return sock
    try:
        _bind(sock, address)
    except OSError as error:
        sock.close()
        text = f"cannot send from {address}: {_reason(error)}"
        raise Trouble(text, category=Category.LOCAL) from error
    return sock


def _bind(sock: socket.socket, address: str) -> None:
    # The port is picked when the connection is made: else one source could not have more connections than it has
    # ports, however many hosts they go to.
    if sys.platform == "linux":
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
    sock.bind((address, 0))


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer came in time"
    return os.strerror(error.errno) if error.errno else type(error).__name__
