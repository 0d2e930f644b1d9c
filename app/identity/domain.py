"""A domain that a project sends from: what is known of it, and when it counts as its own. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from app.identity.findings import Finding, FindingState
from app.identity.records import Purpose
from app.ids import ProjectId

_LEAST_CHECKS = 3
"""Checks in a row that must go wrong before a verified domain fails, however long they took."""
_SOON = timedelta(minutes=5)
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_SPREAD = timedelta(hours=4)


class DomainStatus(StrEnum):
    """Where a domain stands."""

    PENDING = "pending"
    """It was never seen as it should be: nothing is sent from it yet."""
    VERIFIED = "verified"
    """Its required records are right, or were until a short time ago."""
    FAILING = "failing"
    """They were right once, and have not been for too long: nothing is sent from it now."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a verified domain may be without right records, or without name servers that answer."""

    wrong: timedelta
    unreachable: timedelta


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of a project; `name` and `return_path` are in A-labels.

    `status` holds `since` then. `wrong_since` is when checks began to go wrong without a right one in between,
    `misses` how many did; `unseen_since` is when name servers began not to answer. `events` counts what was told.
    """

    project: ProjectId
    name: str
    return_path: str
    created_at: datetime
    since: datetime
    status: DomainStatus = DomainStatus.PENDING
    checked_at: datetime | None = None
    findings: tuple[Finding, ...] = ()
    wrong_since: datetime | None = None
    misses: int = 0
    unseen_since: datetime | None = None
    events: int = 0

    @property
    def usable_return_path(self) -> str | None:
        """The return path where its records were right at the last check, None where they were not, or nobody
        knows which they are.

        Without an MX many a receiver refuses mail from it, and what comes back is lost.
        """
        states = {each.record.purpose: each.state for each in self.findings}
        needed = (Purpose.RETURN_PATH, Purpose.RETURN_PATH_MX)
        is_right = all(states.get(purpose) is FindingState.OK for purpose in needed)
        return self.return_path if is_right else None


def judged(
    domain: Domain, findings: Sequence[Finding], now: datetime, patience: Patience
) -> Domain:
    """Return the domain after a check.

    One check that goes wrong proves nothing of a domain that was right before. A domain is only proven by keys of
    its project: without one that is required and right it is never verified.
    """
    checked = replace(domain, checked_at=now, findings=tuple(findings))
    if _is_right(findings):
        fine = replace(checked, wrong_since=None, misses=0, unseen_since=None)
        return _turned(fine, DomainStatus.VERIFIED, now)
    if any(each.is_trouble for each in findings):
        since = domain.wrong_since or now
        checked = replace(checked, wrong_since=since, misses=domain.misses + 1, unseen_since=None)
        is_over = now - since >= patience.wrong and checked.misses >= _LEAST_CHECKS
    else:
        since = domain.unseen_since or now
        checked = replace(checked, unseen_since=since)
        is_over = now - since >= patience.unreachable
    if is_over and domain.status is DomainStatus.VERIFIED:
        return _turned(checked, DomainStatus.FAILING, now)
    return checked


def wait_of(domain: Domain, now: datetime, roll: float) -> timedelta:
    """Return when the domain is checked again; `roll` (0 to 1) spreads those that were made together.

    Daily when all is well, hourly while something is not, and soon after it was made.
    """
    if domain.status is DomainStatus.VERIFIED and not (domain.wrong_since or domain.unseen_since):
        return _DAY - _SPREAD / 2 + _SPREAD * roll
    if domain.status is DomainStatus.PENDING:
        age = now - domain.created_at
        return min(max(_SOON, age / 4), _DAY) * (0.9 + 0.2 * roll)
    return _HOUR * (0.9 + 0.2 * roll)


def _is_right(findings: Sequence[Finding]) -> bool:
    required = [each for each in findings if each.record.is_required]
    is_proven = any(each.record.purpose is Purpose.DKIM for each in required)
    return is_proven and all(each.state is FindingState.OK for each in required)


def _turned(domain: Domain, status: DomainStatus, now: datetime) -> Domain:
    if domain.status is status:
        return domain
    return replace(domain, status=status, since=now, events=domain.events + 1)
