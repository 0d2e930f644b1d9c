"""All that makes reports, built once when the worker starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from app.identity.keys.keyfolder import KeyFolder
from app.identity.keys.keyring import Keyring
from app.identity.keys.opening import key_store
from app.settings import Settings
from app.spool.client import Redis
from app.spool.scripts import Scripts
from app.spool.store import Store
from app.spool.workers.reports import TlsLedger
from worker.reports.tlspost import Desk, TlsCourier
from worker.reports.tlsrpt import Publications, TlsReports
from worker.reports.writer import Reporter

_PARTING_S = 5.0
"""How long a stopping worker waits for the last counts: they are not worth more."""


@dataclass(frozen=True, slots=True)
class Reporting:
    """`delivery` writes delivery reports, `tls` counts handshakes, `courier` sends what was counted."""

    delivery: Reporter
    tls: TlsReports
    courier: TlsCourier

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        redis: Redis,
        published: Publications,
        clock: Callable[[], datetime],
    ) -> AsyncIterator[Reporting]:
        """Build the parts, and hand over what was counted at the end.

        Raises ConfigurationError for DKIM keys that cannot be used.
        """
        scripts = Scripts.of(redis.keys, settings)
        keyring = Keyring(KeyFolder(settings.dkim.directory), key_store(redis, settings))
        desk = Desk(Store(redis, scripts, settings.retention), keyring, clock)
        is_wanted = settings.reports.tls_from is not None
        tls = TlsReports(TlsLedger(redis, scripts), published, clock, is_wanted=is_wanted)
        async with TlsCourier.open(desk, published, settings) as courier:
            yield cls(Reporter(desk.store, keyring, settings, clock), tls, courier)
            with suppress(TimeoutError):
                async with asyncio.timeout(_PARTING_S):
                    await tls.flush()
