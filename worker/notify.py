"""Telling applications: post events to an endpoint and judge the answer.

The connector refuses private addresses at the moment of connecting, so no DNS answer can change between
the check and the connection. A redirect is a failure: it would lead to where nobody checked. Names are looked
up like those of mail, within the same budget: the system's resolver would do it in a few threads, and a few
endpoints whose name servers are silent would hold up all others.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from app.projects.endpoints import Endpoint
from app.settings import WebhookSettings
from app.spool.workers.claims import Parcel
from app.wire import fact_bytes
from worker.connector import OwnNames, guarded_sockets, http_session
from worker.routing.resolver import Resolver

_ANSWER_BYTES = 1024
"""How much of an answer's body is read before the connection is given back; nobody looks at it."""
_BODY_S = 1.0


@dataclass(frozen=True, slots=True)
class Notifier:
    """Posts events over connections that are kept."""

    session: aiohttp.ClientSession
    clock: Callable[[], datetime]

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: WebhookSettings, resolver: Resolver, clock: Callable[[], datetime]
    ) -> AsyncIterator[Notifier]:
        """Open the connections' pool, close it at the end. `resolver` finds the hosts and keeps answers."""
        connector = aiohttp.TCPConnector(
            socket_factory=guarded_sockets(settings.allowed_networks, "endpoints"),
            resolver=OwnNames(resolver),
            use_dns_cache=False,
            limit=1000,
            limit_per_host=50,
        )
        headers = {"User-Agent": "Pillarbox-Webhook/1", "Content-Type": "application/json"}
        async with http_session(connector, settings.timeout.total_seconds(), headers) as session:
            yield cls(session, clock)

    async def post(self, endpoint: Endpoint, parcel: Parcel) -> str | None:
        """Post one event; return None if the endpoint took it (2xx), else what went wrong in one line."""
        body = fact_bytes(parcel.sequence, parcel.record)
        headers = signature_headers(endpoint.secret, parcel.record.id, self.clock(), body)
        try:
            async with self.session.post(
                endpoint.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                await _take_body(answer)
                return None if 200 <= answer.status < 300 else f"HTTP {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"


async def _take_body(answer: aiohttp.ClientResponse) -> None:
    """Read a short body, so that the connection can be kept; the status has decided, whatever becomes of it."""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with asyncio.timeout(_BODY_S):
            await answer.content.read(_ANSWER_BYTES)


def signature_headers(secret: str, event_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
    """Return the header fields of a signed webhook (Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    timestamp = str(int(sent_at.timestamp()))
    signed = b".".join((event_id.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }
