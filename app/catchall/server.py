"""The SMTP side of the catch-all mailbox: takes every mail, but for the special addresses."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import assert_never

from aiosmtpd.smtp import SMTP, Envelope, Session

from app.catchall.folder import Arrival, MailFolder, new_mail_id
from app.catchall.reading import printable
from app.catchall.specials import Special, special_of
from app.processes.ports import LOOPBACK

_MAX_BYTES = 50_000_000
_SLOWNESS_S = 5.0


@asynccontextmanager
async def receiving(
    folder: MailFolder, port: int, tls: ssl.SSLContext, tell: Callable[[Arrival], None]
) -> AsyncIterator[int]:
    """Take mail on this port of loopback (0: any free one, which is yielded) until the end.

    `tell` is called for each mail, after it was kept and before its sender is answered.
    """
    handler = _Handler(folder, tell)
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        return SMTP(
            handler,
            hostname="localhost",
            ident="Pillarbox mailbox",
            data_size_limit=_MAX_BYTES,
            enable_SMTPUTF8=True,
            tls_context=tls,
            loop=loop,
        )

    server = await loop.create_server(session, LOOPBACK, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class _Handler:
    """What aiosmtpd asks at each step of a session; its replies are lines of SMTP."""

    def __init__(self, folder: MailFolder, tell: Callable[[Arrival], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._greylisted: set[str] = set()
        self._unanswered: set[bytes] = set()

    async def handle_EHLO(
        self,
        _server: SMTP,
        session: Session,
        _envelope: Envelope,
        hostname: str,
        replies: list[str],
    ) -> list[str]:
        """Offer what is really there: no AUTH, since no password would be right."""
        session.host_name = hostname
        offered = [reply for reply in replies if not reply.startswith("250-AUTH")]
        return [*offered[:-1], "250-ENHANCEDSTATUSCODES", offered[-1]]

    async def handle_RCPT(
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Accept a recipient, or refuse it as its special address says."""
        reply = await self._recipient(address)
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the mail; a 250 means that its page can be opened."""
        if Special.SPAM in map(special_of, envelope.rcpt_tos):
            return "554 5.7.1 The content was refused, as you asked for"
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        arrival = _arrival(session, envelope, len(content))
        try:
            self._folder.keep(arrival, content)
        except OSError as error:
            return f"452 4.3.1 The mailbox cannot write to its folder: {error.strerror}"
        self._tell(arrival)
        if self._loses_the_answer(envelope, content) and server.transport:
            server.transport.close()
        return f"250 2.0.0 Taken as {arrival.id}"

    async def _recipient(self, address: str) -> str:
        special = special_of(address)
        match special:
            case Special.BOUNCED:
                return "550 5.1.1 There is no such mailbox, as you asked for"
            case Special.FULL:
                return "554 5.2.2 The mailbox is full, as you asked for"
            case Special.DEFERRED:
                return self._greylist(address)
            case Special.SLOW:
                await asyncio.sleep(_SLOWNESS_S)
                return "250 2.1.5 Taken, slowly"
            case Special.SPAM | Special.UNKNOWN | None:
                return "250 2.1.5 Taken"
            case _:
                assert_never(special)

    def _loses_the_answer(self, envelope: Envelope, content: bytes) -> bool:
        """Tell whether this mail gets no answer: when it first comes to such an address, not the second time."""
        if Special.UNKNOWN not in map(special_of, envelope.rcpt_tos):
            return False
        mail = {hashlib.sha256(content).digest()}
        is_first = not mail <= self._unanswered
        self._unanswered ^= mail
        return is_first

    def _greylist(self, address: str) -> str:
        """Refuse every first try, accept every second one."""
        if address in self._greylisted:
            self._greylisted.remove(address)
            return "250 2.1.5 Taken on the second try"
        self._greylisted.add(address)
        return "451 4.7.1 Greylisted, as you asked for: try again later"


def _arrival(session: Session, envelope: Envelope, size_bytes: int) -> Arrival:
    return Arrival(
        id=new_mail_id(),
        received_at=datetime.now(UTC),
        ehlo=printable(session.host_name or ""),
        mail_from=printable(envelope.mail_from or ""),
        recipients=tuple(map(printable, envelope.rcpt_tos)),
        tls=_tls(session),
        size_bytes=size_bytes,
    )


def _tls(session: Session) -> str | None:
    if session.ssl is None:
        return None
    name, version, _bits = session.ssl["cipher"]
    return f"{version} {name}"
