"""Facts about a domain, as endpoints are told them beside those about messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from app.events import EventRecord, EventType
from app.identity.domain import Domain, DomainStatus
from app.ids import EventId, new_event_id


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """A change of a domain's status; `domain` is as it was then, and its `events` number this one from 1."""

    id: EventId
    type: EventType
    timestamp: datetime
    domain: Domain


Fact: TypeAlias = EventRecord | DomainEvent
"""What an endpoint may be told."""


def turn_of(before: Domain, after: Domain) -> DomainEvent | None:
    """Return what is to be told of a check, None where the status stays."""
    if after.status is before.status or after.status is DomainStatus.PENDING:
        return None
    is_fine = after.status is DomainStatus.VERIFIED
    kind = EventType.DOMAIN_VERIFIED if is_fine else EventType.DOMAIN_FAILING
    return DomainEvent(new_event_id(), kind, after.since, after)
