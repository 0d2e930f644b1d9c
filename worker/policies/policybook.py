"""The MTA-STS policy that is in force for a domain: looked up, fetched, remembered, and kept fresh (RFC 8461).

A policy outlives everything that may go wrong later: a record that is gone, a host that does not answer,
a policy that makes no sense. It ends when its time is over, or when the domain publishes another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from app.errors import SpoolError
from app.spool.workers.policies import Mode, PolicyShelf, StsPolicy
from worker.policies.fetching import Fetcher
from worker.policies.mtasts import PolicyError, parse_policy, parse_record
from worker.retry import spread
from worker.routing.answers import Failed, Found
from worker.routing.resolver import Resolver

_log = structlog.get_logger(__name__)

_REFRESH = timedelta(days=1)
_SPREAD = 0.2
_FAILED_FOR = timedelta(minutes=5)
"""After a failed fetch the same policy is not asked for again before this time (RFC 8461 §3.3)."""
_ANY = ""
"""Stands for the id where the record could not be looked up."""
_TRUSTED_FOR = timedelta(minutes=5)
"""How long a process believes what it read in Redis; another one may have fetched a newer policy."""
_MOST_KNOWN = 10_000
_REFRESHED_AT_ONCE = 20
_REFRESH_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What this process last heard of a domain, and when it has to look again."""

    policy: StsPolicy | None
    until: datetime


@dataclass(frozen=True, slots=True)
class Means:
    """What the book works with; `roll` gives numbers from 0 to 1."""

    resolver: Resolver
    fetcher: Fetcher
    shelf: PolicyShelf
    clock: Callable[[], datetime]
    roll: Callable[[], float]


class PolicyBook:
    """Knows policies; `close` it before what it works with."""

    def __init__(self, means: Means) -> None:
        """Know of none."""
        self._means = means
        self._known: dict[str, _Known] = {}
        self._resting: dict[tuple[str, str], datetime] = {}
        self._troubles: dict[str, PolicyError] = {}
        self._fetching: dict[tuple[str, str], asyncio.Task[StsPolicy | None]] = {}

    async def policy(self, domain: str) -> StsPolicy | None:
        """Return the policy of a domain (A-labels), None where it has none, or one of mode `none`.

        A policy that the domain changed is fetched before this returns, so that no mail fails by an old
        one. Raises SpoolError where Redis cannot tell: then nobody knows what the mail needs.
        """
        id_ = await self._published_id(domain)
        if id_ is None:
            self._troubles.pop(domain, None)
        kept = await self._kept(domain)
        if id_ is not None and (kept is None or kept.id != id_):
            kept = await self._fetched(domain, id_) or kept
        return _unless_none(kept)

    async def in_force(self, domain: str) -> StsPolicy | None:
        """Return what `policy` does, as far as it was fetched already: asks only Redis. Raises SpoolError."""
        return _unless_none(await self._kept(domain))

    def trouble(self, domain: str) -> PolicyError | None:
        """Return why the policy that a domain publishes could not be had lately; None where none is missing."""
        return self._troubles.get(domain)

    def is_unsure(self, domain: str) -> bool:
        """Tell whether a domain without a policy may have one all the same: it could not be had lately."""
        return domain in self._troubles or self._is_resting(domain, _ANY)

    async def keep_fresh(self) -> None:
        """Refresh policies before they expire, about once a day each, until cancelled."""
        while True:
            try:
                await self.refresh()
            except SpoolError as error:
                _log.warning("policies_without_redis", error=error.detail)
            await asyncio.sleep(_REFRESH_EVERY_S)

    async def refresh(self) -> None:
        """Refresh those policies that are due, all at once: hosts may keep us waiting. Raises SpoolError."""
        due = await self._means.shelf.due(_REFRESHED_AT_ONCE)
        await asyncio.gather(*map(self._refresh, due))

    async def _refresh(self, domain: str) -> None:
        id_ = await self._published_id(domain)
        if id_ is not None:
            await self._fetched(domain, id_)

    async def close(self) -> None:
        """Stop all fetches."""
        tasks = tuple(self._fetching.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _published_id(self, domain: str) -> str | None:
        # RFC 8461 §3.1: the record stands at the very domain of the address, and never at a parent.
        if self._is_resting(domain, _ANY):
            return None
        answer = await self._means.resolver.texts(f"_mta-sts.{domain}")
        if isinstance(answer, Failed):
            self._rest(domain, _ANY)  # else each mail would wait for a server that does not answer
        return parse_record(answer.records) if isinstance(answer, Found) else None

    async def _kept(self, domain: str) -> StsPolicy | None:
        now = self._means.clock()
        known = self._known.get(domain)
        if known is None or known.until <= now:
            known = self._know(domain, await self._means.shelf.load(domain))
        policy = known.policy
        return policy if policy and now < policy.expires_at else None

    def _know(self, domain: str, policy: StsPolicy | None) -> _Known:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        known = _Known(policy, self._means.clock() + _TRUSTED_FOR)
        self._known[domain] = known
        return known

    async def _fetched(self, domain: str, id_: str) -> StsPolicy | None:
        """Fetch a policy and keep it; None if that fails, or failed a moment ago. Asks once for all who wait."""
        task = self._fetching.get((domain, id_))
        if task is None:
            if self._is_resting(domain, id_):
                return None
            task = asyncio.create_task(self._fetch(domain, id_))
            self._fetching[domain, id_] = task
            task.add_done_callback(lambda _: self._fetching.pop((domain, id_)))
        return await asyncio.shield(task)

    async def _fetch(self, domain: str, id_: str) -> StsPolicy | None:
        try:
            rules = parse_policy(await self._means.fetcher.fetch(domain))
        except PolicyError as error:
            _log.warning("mta_sts_policy_failed", domain=domain, reason=error.reason)
            self._rest(domain, id_)
            self._troubles[domain] = error
            return None
        self._troubles.pop(domain, None)
        policy = rules.fetched(id_, self._means.clock())
        self._know(domain, policy)
        wait = spread(min(_REFRESH, rules.max_age / 2), _SPREAD, self._means.roll())
        try:
            await self._means.shelf.keep(domain, policy, wait)
        except SpoolError as error:  # this process keeps it; the next one fetches it again
            _log.warning("mta_sts_policy_not_stored", domain=domain, error=error.detail)
        return policy

    def _rest(self, domain: str, id_: str) -> None:
        """Ask for a policy that could not be had no more for a while."""
        if len(self._resting) >= _MOST_KNOWN:
            self._resting.clear()
            self._troubles.clear()
        self._resting[domain, id_] = self._means.clock() + _FAILED_FOR

    def _is_resting(self, domain: str, id_: str) -> bool:
        until = self._resting.get((domain, id_))
        return until is not None and self._means.clock() < until


def _unless_none(policy: StsPolicy | None) -> StsPolicy | None:
    return None if policy is None or policy.mode is Mode.NONE else policy
