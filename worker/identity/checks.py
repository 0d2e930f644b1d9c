"""Checks of domains: look, judge, keep, tell; asked for by the API, and by the clock each day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.errors import NotFound
from app.identity.domain import Domain, Patience, judged, wait_of
from app.identity.domains import DomainName, Domains
from app.identity.events import turn_of
from app.identity.findings import Finding
from app.settings.domains import DomainSettings
from app.spool.jobs import Alarm
from worker.identity.inspection import inspect, published
from worker.identity.nameservers import NameServers

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DomainChecks:
    """Checks domains. Built once, at the start."""

    domains: Domains
    servers: NameServers
    alarm: Alarm
    settings: DomainSettings
    clock: Callable[[], datetime]
    roll: Callable[[], float]

    async def check(self, name: DomainName) -> bool:
        """Check a domain, keep the result and tell what it changes; return whether it was kept.

        A domain that was deleted meanwhile, or checked by another worker, is left as it is. Raises SpoolError.
        """
        try:
            domain = await self.domains.one(name.project, name.name)
        except NotFound:
            return False
        records = await self.domains.records(domain)
        budget_s = self.settings.budget.total_seconds()
        findings = await inspect(domain.name, records, self.servers, budget_s)
        if selectors := published(findings):
            await self.domains.keys.confirm(domain.project, domain.name, selectors)
        return await self._keep(domain, findings)

    async def _keep(self, domain: Domain, findings: Sequence[Finding]) -> bool:
        now = self.clock()
        patience = Patience(self.settings.wrong_for, self.settings.unreachable_for)
        after = judged(domain, findings, now, patience)
        event = turn_of(domain, after)
        wakes = await self.domains.keep_check(
            domain, after, wait_of(after, now, self.roll()), event
        )
        if wakes is None:
            return False
        if event:
            _log.info(
                "domain_turned", project=domain.project, domain=domain.name, status=after.status
            )
        await self.alarm.ring(wakes)
        return True
