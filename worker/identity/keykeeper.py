"""The keeper of keys: lets new keys sign once their records are in the DNS, and rotates keys by schedule.

Every worker runs one. Each domain is looked at by one worker at a time, and doing so twice does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from app.errors import PillarboxError, SpoolError
from app.identity.judging import State, dkim
from app.identity.keys.agenda import Agenda, Owner
from app.identity.keys.dkimkeys import DomainKey
from app.identity.keys.keystore import KeyStore
from app.identity.records import PublicKey, dkim_records
from worker.identity.inspection import inspect, published
from worker.identity.nameservers import NameServers
from worker.routing.answers import Found
from worker.routing.resolver import Resolver

_EVERY_S = 1.0
_AT_ONCE = 20
_HOLD = timedelta(minutes=2)
_SOONEST, _LATEST = timedelta(seconds=1), timedelta(hours=1)
"""Waits between two looks for a record: a tenth of how long it has been missing, within these."""
_AGED_EVERY_S = 60.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeyKeeper:
    """Keeps the keys of all projects. Built once, at the start. `rotate_after` is None where none is rotated.

    A record that the resolver has found is believed once all name servers of the domain have it: a receiver may
    ask any of them.
    """

    store: KeyStore
    agenda: Agenda
    resolver: Resolver
    servers: NameServers
    budget: timedelta
    rotate_after: timedelta | None
    clock: Callable[[], datetime]

    async def keep(self) -> None:
        """Look and rotate, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_repeat(self.look, _EVERY_S))
            tasks.create_task(_repeat(self.rotate_aged, _AGED_EVERY_S))

    async def look(self) -> None:
        """Look for records that are to be published, of domains that are due. Raises SpoolError."""
        due = await self.agenda.looks(_AT_ONCE, _HOLD)
        await asyncio.gather(*map(self._look_for, due))

    async def rotate_aged(self) -> None:
        """Begin the rotation of keys that have reached their age. Raises SpoolError."""
        if self.rotate_after is None:
            return
        for owner in await self.agenda.aged(self.clock() - self.rotate_after, _AT_ONCE):
            await self._rotate(owner)

    async def _look_for(self, owner: Owner) -> None:
        keys = await self.store.keys(owner.project, owner.domain)
        pending = [key for key in keys if key.is_pending]
        looked = await asyncio.gather(*(self._is_published(key, owner.domain) for key in pending))
        seen = [key for key, is_there in zip(pending, looked, strict=True) if is_there]
        if found := await self._everywhere(owner.domain, seen):
            await self.store.confirm(owner.project, owner.domain, found)
            _log.info(
                "dkim_keys_sign",
                project=owner.project,
                domain=owner.domain,
                selectors=sorted(found),
            )
        await self.agenda.plan(owner, _wait(pending, self.clock()))

    async def _is_published(self, key: DomainKey, domain: str) -> bool:
        answer = await self.resolver.texts(f"{key.selector}._domainkey.{domain}")
        if not isinstance(answer, Found):
            return False
        values = [text.decode("utf-8", "replace") for text in answer.records]
        return dkim(values, key.record).state is State.OK

    async def _everywhere(self, domain: str, keys: Sequence[DomainKey]) -> frozenset[str]:
        """Return the selectors whose records all name servers have that answer."""
        public = [PublicKey(key.selector, key.record) for key in keys]
        records = dkim_records(domain, public)
        return published(await inspect(domain, records, self.servers, self.budget.total_seconds()))

    async def _rotate(self, owner: Owner) -> None:
        try:
            made = await self.store.rotate(owner.project, owner.domain)
        except SpoolError:
            raise
        except PillarboxError as error:
            _log.warning("dkim_keys_not_rotated", domain=owner.domain, error=error.detail)
            return
        selectors = [key.selector for key in made]
        _log.info(
            "dkim_keys_to_publish", project=owner.project, domain=owner.domain, selectors=selectors
        )


async def _repeat(step: Callable[[], Coroutine[object, object, None]], every_s: float) -> None:
    """Do a step for ever. Raises nothing: while Redis is away there is nothing to do."""
    while True:
        try:
            await step()
        except SpoolError as error:
            _log.warning("keys_without_redis", error=error.detail)
        except Exception:
            _log.exception("key_keeper_failed")
        await asyncio.sleep(every_s)


def _wait(pending: list[DomainKey], now: datetime) -> timedelta:
    age = min((now - key.created_at for key in pending), default=_LATEST)
    return min(max(age / 10, _SOONEST), _LATEST)
