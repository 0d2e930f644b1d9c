"""Events as applications see them: one form for webhooks and for the history of a message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeAlias

import orjson

from app.events import Delivery, Event, Peer
from app.identity.events import DomainEvent, Fact
from app.identity.findings import Finding

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json] | None"


def rfc3339(moment: datetime) -> str:
    """Return a time in UTC, to the millisecond, as RFC 3339 §5.6 writes it: `2026-01-31T09:30:00.000Z`."""
    return f"{moment.astimezone(UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def event_json(event: Event) -> dict[str, Json]:
    """Return an event as JSON: `id`, `type`, `timestamp` and `data`."""
    record = event.record
    data: dict[str, Json] = {
        "message_id": record.message,
        "recipient_id": record.recipient,
        "address": record.address,
        "sequence": event.sequence or None,
        "tags": list(record.tags),
        "metadata": dict(record.metadata),
    }
    if record.delivery:
        data["delivery"] = delivery_json(record.delivery)
    return {
        "id": record.id,
        "type": record.type.value,
        "timestamp": rfc3339(record.timestamp),
        "data": data,
    }


def delivery_json(delivery: Delivery) -> dict[str, Json]:
    """Return how a try went, as JSON; what is not known is null."""
    reply, next_at = delivery.reply, delivery.next_attempt_at
    return {
        "category": delivery.category.value if delivery.category else None,
        "code": reply.code if reply else None,
        "enhanced_code": reply.enhanced if reply else None,
        "text": reply.text if reply else delivery.text,
        **peer_json(delivery.peer),
        "final": delivery.final,
        "in_doubt": delivery.in_doubt,
        "suppression": delivery.suppression.value if delivery.suppression else None,
        "next_attempt_at": rfc3339(next_at) if next_at else None,
    }


def peer_json(peer: Peer | None) -> dict[str, str | None]:
    """Return who was spoken to and how, as JSON; what is not known is null."""
    return {
        "host": peer.host if peer else None,
        "ip": peer.address if peer else None,
        "tls": peer.tls if peer else None,
        "tls_cipher": peer.cipher if peer else None,
        "tls_certificate": peer.certificate if peer else None,
        "tls_policy": peer.policy if peer else None,
        "source": peer.source if peer else None,
        "source_ip": peer.source_address if peer else None,
    }


def domain_event_json(event: DomainEvent) -> dict[str, Json]:
    """Return an event about a domain as JSON; its `sequence` counts those of the domain."""
    domain = event.domain
    return {
        "id": event.id,
        "type": event.type.value,
        "timestamp": rfc3339(event.timestamp),
        "data": {
            "domain": domain.name,
            "status": domain.status.value,
            "sequence": domain.events,
            "records": [finding_json(each) for each in domain.findings],
        },
    }


def finding_json(finding: Finding) -> dict[str, Json]:
    """Return what was found of a record, as JSON; `value` is what should stand there."""
    record = finding.record
    return {
        "purpose": record.purpose.value,
        "name": record.name,
        "type": record.type.value,
        "value": finding.value,
        "required": record.is_required,
        "state": finding.state.value,
        "found": list(finding.found),
        "detail": finding.detail,
    }


def fact_bytes(sequence: int, fact: Fact) -> bytes:
    """Return what an endpoint is told as the bytes of a webhook's body."""
    if isinstance(fact, DomainEvent):
        return orjson.dumps(domain_event_json(fact))
    return event_bytes(Event(sequence, fact))


def event_bytes(event: Event) -> bytes:
    """Return an event as the bytes of a webhook's body."""
    return orjson.dumps(event_json(event))
