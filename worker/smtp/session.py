"""Opening a session as the policy for its host wants it: TCP, greeting, EHLO, TLS; then `dialogue` takes over."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address

from app.events import Category, Peer
from app.mail.reply import Reply
from app.networks import family_of
from app.settings.delivering import DeliverySettings
from worker.outcomes.handshake import Handshake
from worker.policies.handshakes import barred, is_told, opened, refused, without_tls
from worker.policies.policy import Proof
from worker.routing.hosts import Host
from worker.sites.lately import Lately
from worker.sites.sources import Source
from worker.smtp.dialogue import Dialogue
from worker.smtp.opening import Names, Opening, TlsTrouble, WatchedProtocol
from worker.smtp.replies import ReplyReader
from worker.smtp.timeouts import Timeouts
from worker.smtp.tls import Tls, handshake_trouble
from worker.smtp.transcript import Transcript
from worker.smtp.trouble import InsecureTrouble, Trouble

_BIND_ADDRESS_NO_PORT = 24
"""IP_BIND_ADDRESS_NO_PORT of Linux, which the socket module names only from Python 3.12 on."""
_OURS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EPERM}
)
"""What a connection fails with where this machine is short of something, or forbids it: no fault of the host."""
_PLAIN_SECONDS = 3600.0
"""How long a host whose STARTTLS failed is met in plain text: each mail would cost a failed handshake."""
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
    requiretls: bool = False
    dsn: bool = False
    most_bytes: int | None = None
    most_recipients: int | None = None
    most_mails: int | None = None

    @classmethod
    def of(cls, extensions: Mapping[str, str], greeting: Reply) -> Features:
        """Read the extensions (lower-case keywords) of RFC 2920, 1870, 6152, 6531, 8689, 3461 and 9422."""
        limits = dict(
            limit.partition("=")[::2] for limit in extensions.get("limits", "").upper().split()
        )
        return cls(
            # A firewall that masks its greeting with asterisks breaks pipelining.
            pipelining="pipelining" in extensions and "**" not in greeting.text,
            size="size" in extensions,
            eight_bits="8bitmime" in extensions,
            utf8="smtputf8" in extensions,
            requiretls="requiretls" in extensions,
            dsn="dsn" in extensions,
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
    """Opens sessions, and remembers for a while which hosts cannot agree on TLS, or fail a policy.

    The former by name and address: a name of anybody's making may lead to the address, and spoil its TLS.

    `part` says QUIT on a session that is of no use, and closes it.
    """

    def __init__(
        self, settings: DeliverySettings, tls: Tls, part: Callable[[Dialogue], None]
    ) -> None:
        self._part = part
        self._ehlo_name = settings.ehlo_name.rstrip(".")
        self._timeouts = Timeouts.of(settings.timeouts)
        self._tls = tls
        self._plain = Lately[tuple[str, str], bool](_PLAIN_SECONDS)
        self._insecure = Lately[Host, InsecureTrouble](settings.site_back_off[0].total_seconds())

    async def open(
        self, host: Host, transcript: Transcript, source: Source | None = None
    ) -> Session:
        """Open a session with `host` from `source`, as its policy wants it. Raises Trouble.

        What fails the policy is InsecureTrouble; then not more than EHLO and QUIT was said, and to a host that the
        policy bars nothing at all. On cancellation the connection is closed.
        """
        line = _Line(host, source, transcript)
        if bar := host.policy.bar:
            line.tell(barred(host, bar))
            raise InsecureTrouble(bar.text, category=bar.category, is_final=bar.is_final)
        match host.policy.proof:
            case Proof.PLAIN:
                return await self._open(line, wants_tls=False)
            case Proof.NOTHING:
                return await self._open_at_all(line)
            case _:
                return await self._open_safely(line)

    async def _open_at_all(self, line: _Line) -> Session:
        """Open with TLS if it can be had, else without (RFC 7435)."""
        place = line.host.name, line.host.address
        if not self._plain.recall(place):
            try:
                return await self._open(line, wants_tls=True)
            except TlsTrouble as trouble:
                line.tell(refused(line.host, None, trouble.text))
                self._plain.remember(place, True)
        return await self._open(line, wants_tls=False)

    async def _open_safely(self, line: _Line) -> Session:
        """Open with what the policy wants; a host that failed it a moment ago is not asked again."""
        known = self._insecure.recall(line.host)
        if known:
            raise known.again()
        try:
            return await self._open(line, wants_tls=True)
        except TlsTrouble as trouble:
            insecure = handshake_trouble(line.host, trouble.text, trouble)
            line.tell(refused(line.host, insecure.certificate, insecure.text))
            self._insecure.remember(line.host, insecure.again())
            raise insecure from trouble
        except InsecureTrouble as trouble:
            line.tell_why(trouble)
            self._insecure.remember(line.host, trouble.again())
            raise

    async def _open(self, line: _Line, *, wants_tls: bool) -> Session:
        host, source, policy = line.host, line.source, line.host.policy
        protocol = WatchedProtocol(ReplyReader(line.transcript))
        transport = await self._connect(host, source, protocol)
        try:
            ehlo_name = _full(source.ehlo_name if source else self._ehlo_name, transport)
            names = Names(ehlo_name, policy.server_name or host.name, self._tls.context(policy))
            opening = Opening(protocol, transport, names, self._timeouts)
            return await self._agree(line, opening, wants_tls=wants_tls)
        except Trouble as trouble:
            if opening.can_part(trouble):
                self._part(opening.dialogue())
            else:
                transport.abort()
            raise
        except BaseException:
            transport.abort()
            raise

    async def _agree(self, line: _Line, opening: Opening, *, wants_tls: bool) -> Session:
        host = line.host
        greeting = await opening.greet()
        extensions = await opening.hello()
        if wants_tls and "starttls" in extensions:
            extensions = await opening.secure()
        peer = self._peer(line, opening)
        features = Features.of(extensions, greeting)
        _insist(host, peer, features)
        if wants_tls:
            line.tell(opened(host, peer, _own_address(opening.transport)))
        return Session(host, line.source, peer, features, opening.dialogue())

    def _peer(self, line: _Line, opening: Opening) -> Peer:
        """Return who is spoken to, and how. Raises InsecureTrouble where the certificate fails the policy."""
        peer = peer_of(line.host, line.source)
        ssl_object = opening.transport.get_extra_info("ssl_object")
        if ssl_object is None:
            return peer
        security = self._tls.security(ssl_object, line.host)
        return replace(
            peer, tls=security.version, cipher=security.cipher, certificate=security.certificate
        )

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


@dataclass(frozen=True, slots=True)
class _Line:
    """Between whom a session is to be opened, and where its words are noted."""

    host: Host
    source: Source | None
    transcript: Transcript

    def tell(self, handshake: Handshake) -> None:
        """Note how TLS went, as far as it is the receiving domain's business."""
        if is_told(handshake, self.host.policy):
            self.transcript.handshakes.append(handshake)

    def tell_why(self, trouble: InsecureTrouble) -> None:
        """Note why a session does not fulfil its policy; that only our message demands REQUIRETLS is not told."""
        if trouble.certificate:
            self.tell(refused(self.host, trouble.certificate, trouble.text))
        elif not trouble.is_final:
            self.tell(without_tls(self.host))


def _own_address(transport: asyncio.Transport) -> str:
    return str(transport.get_extra_info("sockname")[0])


def _full(name: str, transport: asyncio.Transport) -> str:
    """Return our name for EHLO; where it is not a full one, the address we come from (RFC 5321 §4.1.4)."""
    if "." in name:
        return name
    address = ip_address(_own_address(transport).partition("%")[0])
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"


def _insist(host: Host, peer: Peer, features: Features) -> None:
    """Raise InsecureTrouble where a session lacks what its policy wants."""
    policy = host.policy
    if policy.proof not in {Proof.PLAIN, Proof.NOTHING} and peer.tls is None:
        raise InsecureTrouble.of(host, f"{host.name} does not offer STARTTLS")
    if policy.requires_extension and not features.requiretls:
        raise InsecureTrouble.by_extension(host)


def peer_of(host: Host, source: Source | None) -> Peer:
    """Return who is to be spoken to, under which policy, and from where."""
    peer = Peer(host.name, host.address, policy=host.policy.origin)
    if source is None:
        return peer
    return replace(peer, source=source.name, source_address=source.address_to(host))


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
