"""What domains publish, as tests of TLS reports need it: a real resolver, and a real book of policies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from app.settings.delivering import DnsSettings, TlsSettings
from app.spool.client import Redis
from app.spool.scripts import Scripts
from app.spool.workers.policies import PolicyShelf
from tests.app.spool.conftest import spool_settings
from tests.fakes.dns import DnsServer
from worker.policies.fetching import Fetcher
from worker.policies.policybook import Means, PolicyBook
from worker.reports.tlsrpt import Publications
from worker.routing.resolver import Resolver


@asynccontextmanager
async def publications(redis: Redis, dns: DnsServer) -> AsyncIterator[Publications]:
    """Ask a DNS server, and Redis for policies that were fetched."""
    shelf = PolicyShelf(redis, Scripts.of(redis.keys, spool_settings("redis://unused")))
    async with (
        Resolver(DnsSettings(nameservers=(dns.address,))) as resolver,
        Fetcher.open(TlsSettings(), resolver, ()) as fetcher,
    ):
        means = Means(resolver, fetcher, shelf, lambda: datetime.now(UTC), lambda: 0.5)
        yield Publications(resolver, PolicyBook(means))
