"""Fetching MTA-STS policies over HTTPS (RFC 8461 §3.3): with a verified certificate, no redirect, and bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from app.networks import Network
from app.settings.delivering import TlsSettings
from worker.connector import OwnNames, guarded_sockets, http_session, verifying_context
from worker.outcomes.handshake import TlsFailure
from worker.policies.mtasts import MOST_BYTES, PolicyError
from worker.routing.resolver import Resolver

_TIMEOUT_S = 60.0
"""How long a fetch may take in all (RFC 8461 §3.3)."""
_CONNECTIONS = 50


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches policies."""

    session: aiohttp.ClientSession
    port: int

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: TlsSettings, resolver: Resolver, allowed: Sequence[Network]
    ) -> AsyncIterator[Fetcher]:
        """Open a pool of connections to public and `allowed` addresses, close it at the end."""
        connector = aiohttp.TCPConnector(
            resolver=OwnNames(resolver),
            socket_factory=guarded_sockets(allowed, "policy hosts"),
            ssl=verifying_context(settings.authorities),
            limit=_CONNECTIONS,
            force_close=True,
            use_dns_cache=False,
        )
        headers = {"User-Agent": "Pillarbox-MTA-STS/1", "Accept-Encoding": "identity"}
        async with http_session(connector, _TIMEOUT_S, headers) as session:
            yield cls(session, settings.mta_sts_port)

    async def fetch(self, domain: str) -> bytes:
        """Return the policy of a domain (A-labels) as its host gives it. Raises PolicyError."""
        url = f"https://mta-sts.{domain}:{self.port}/.well-known/mta-sts.txt"
        try:
            async with self.session.get(url, allow_redirects=False) as answer:
                return await _read(answer)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            is_untrusted = isinstance(error, aiohttp.ClientSSLError)
            failure = TlsFailure.STS_WEBPKI if is_untrusted else TlsFailure.STS_FETCH
            raise PolicyError(f"the policy cannot be fetched: {reason}", failure) from error


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    if answer.status != HTTPStatus.OK:  # a redirect too: RFC 8461 §3.3
        raise PolicyError(f"the policy host answers HTTP {answer.status}", TlsFailure.STS_FETCH)
    if answer.content_type != "text/plain":
        raise PolicyError(f"the policy is no text/plain but {answer.content_type}")
    body = b""
    while chunk := await answer.content.read(MOST_BYTES + 1 - len(body)):
        body += chunk
        if len(body) > MOST_BYTES:
            raise PolicyError(f"the policy has more than {MOST_BYTES} bytes")
    return body
