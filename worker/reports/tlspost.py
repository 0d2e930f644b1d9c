"""Sending TLS reports: by mail through our own queue, or by HTTPS, to the first address that takes them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import unquote

import aiohttp
import structlog

from app.identity.keys.keyring import Keyring
from app.ids import new_message_id
from app.mail.address import Address, AddressError, parse_address
from app.mail.dkim import sign
from app.messages import Field, Letter, Message, Recipient, Stream, TlsWish
from app.projects.urls import UrlError, check_url
from app.settings import Settings
from app.spool.store import Idempotency, Store
from app.spool.workers.reports import INSTALLATION, TlsClaim
from worker.connector import OwnNames, guarded_sockets, http_session, verifying_context
from worker.reports.tlsreport import MEDIA_TYPE, Submitter, TlsReport, compose_mail, document
from worker.reports.tlsrpt import HANDSHAKE, Publications, due_at

_RETRIED_FOR = timedelta(hours=24)
"""How long a report is tried (RFC 8460 §5.5)."""
_FIRST_WAIT = timedelta(minutes=5)
_TIMEOUT_S = 60.0
_MOST_ADDRESSES = 4
"""How many addresses of a domain are tried at a time: each may keep us waiting, and other reports behind."""
_KEY_PREFIX = " tls "
_MAILTO = re.compile(r"mailto:([^?]+)(?:\?.*)?", re.IGNORECASE)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of sending a report: when it is tried again (None: it is done with), and the lanes to ring for."""

    wait: timedelta | None
    wakes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Desk:
    """Where mails are signed and kept."""

    store: Store
    keyring: Keyring
    clock: Callable[[], datetime]


class TlsCourier:
    """Sends TLS reports. Use `open`."""

    def __init__(
        self,
        desk: Desk,
        published: Publications,
        session: aiohttp.ClientSession,
        settings: Settings,
    ) -> None:
        """Send what is `published` to want it."""
        self._desk = desk
        self._published = published
        self._session = session
        self._allowed = settings.delivery.allowed_networks
        self._submitter = _submitter(settings)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, desk: Desk, published: Publications, settings: Settings
    ) -> AsyncIterator[TlsCourier]:
        """Open the pool of connections, with verified certificates; close it at the end.

        They go to public addresses, and to networks that mail may be sent to: any domain that gets mail says
        where its reports go, so the networks of our applications' endpoints are closed to them.
        """
        connector = aiohttp.TCPConnector(
            resolver=OwnNames(published.resolver),
            socket_factory=guarded_sockets(settings.delivery.allowed_networks, "report hosts"),
            ssl=verifying_context(settings.tls.authorities),
            limit=20,
            force_close=True,
            use_dns_cache=False,
        )
        headers = {"User-Agent": "Pillarbox-TLSRPT/1", "Content-Type": MEDIA_TYPE}
        async with http_session(connector, _TIMEOUT_S, headers) as session:
            yield cls(desk, published, session, settings)

    async def send(self, claim: TlsClaim) -> Sent:
        """Send the report of a claim. May be repeated. Raises SpoolError where Redis takes no mail.

        It is sent when one of the addresses takes it (RFC 8460 §3); those that follow are not bothered.
        """
        if self._submitter is None:
            return Sent(None)  # the setting was taken away meanwhile
        counts = {HANDSHAKE.decode(field): times for field, times in claim.counts.items() if times}
        report = TlsReport(self._submitter, claim.domain, claim.day, counts)
        uris = await self._published.addresses(claim.domain)
        for uri in (uris or ())[:_MOST_ADDRESSES]:
            sent = await self._send_to(uri, report)
            if sent is not None:
                _log.info("tls_report_sent", domain=claim.domain, to=uri, report=report.id)
                return sent
        return Sent(None if uris == () else self._wait(claim))

    def _wait(self, claim: TlsClaim) -> timedelta | None:
        """Return when to try again: as long after as since the first try, up to a day."""
        since = self._desk.clock() - due_at(claim.day, claim.domain)
        if since >= _RETRIED_FOR:
            _log.warning("tls_report_given_up", domain=claim.domain, day=str(claim.day))
            return None
        return min(max(since, _FIRST_WAIT), max(_RETRIED_FOR - since, _FIRST_WAIT))

    async def _send_to(self, uri: str, report: TlsReport) -> Sent | None:
        mailto = _MAILTO.fullmatch(uri)
        if mailto:
            return await self._mail(unquote(mailto[1]), report)
        if uri[:8].lower() != "https://":
            return None  # RFC 8460 §3 knows no other way
        return Sent(None) if await self._post(uri, report) else None

    async def _post(self, uri: str, report: TlsReport) -> bool:
        """Post a report (RFC 8460 §5.4); tell whether it was taken. A redirect is a failure."""
        try:
            check_url(uri, self._allowed)
            async with self._session.post(
                uri, data=document(report), allow_redirects=False
            ) as answer:
                if 200 <= answer.status < 300:
                    return True
                trouble = f"HTTP {answer.status}"
        except UrlError as error:
            trouble = error.reason
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            trouble = f"{type(error).__name__}: {error}"
        _log.info("tls_report_refused", domain=report.domain, to=uri, trouble=trouble)
        return False

    async def _mail(self, text: str, report: TlsReport) -> Sent | None:
        """Put a report into our own queue, signed; None where it cannot be mailed. Without a key none may be
        sent (RFC 8460 §3)."""
        keys = self._desk.keyring.shared(report.submitter.address.domain)
        try:
            to = parse_address(text)
        except AddressError as error:
            _log.info("tls_report_refused", domain=report.domain, to=text, trouble=error.reason)
            return None
        if not keys:
            _log.error("tls_report_without_key", domain=report.submitter.address.domain)
            return None
        message = self._message(to, report)
        unique = f"{message.id.removeprefix('msg_')}@{report.submitter.address.domain}"
        raw = sign(compose_mail(report, to, unique, message.created_at), keys, message.created_at)
        once = Idempotency(f"{_KEY_PREFIX}{report.id} {to}", b"")
        kept = await self._desk.store.keep(
            Letter(replace(message, size_bytes=len(raw)), (raw,)), once
        )
        return Sent(None, kept.wakes)

    def _message(self, to: Address, report: TlsReport) -> Message:
        now = self._desk.clock()
        first_try = due_at(report.day, report.domain)
        return Message(
            id=new_message_id(),
            project=INSTALLATION,
            stream=Stream.TRANSACTIONAL,
            mail_from=str(report.submitter.address),
            subject=report.subject,
            recipients=(Recipient(str(to), to.domain, Field.TO),),
            tags=(),
            metadata={},
            tls=TlsWish.OPTIONAL,
            created_at=now,
            expires_at=max(first_try + _RETRIED_FOR, now + _FIRST_WAIT),
        )


def _submitter(settings: Settings) -> Submitter | None:
    address = settings.reports.tls_from
    if address is None:
        return None
    local, _, domain = address.rpartition("@")
    organization = settings.reports.organization or domain
    return Submitter(organization, settings.reports.contact or address, Address(local, domain))
