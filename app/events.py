"""Events: the facts about recipients that applications are told, and the parts that facts are made of.

An event's sequence number is given by Redis when it is stored: it counts per message, from 1, without
gaps (`app.spool`). What is stored is an `EventRecord`; the number stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.ids import EventId, MessageId, RecipientId
from app.mail.reply import Reply


class EventType(StrEnum):
    """What happened to a recipient."""

    QUEUED = "message.queued"
    """The message is on disk and will be tried."""
    DEFERRED = "message.deferred"
    """A try did not succeed; there will be another."""
    DELIVERED = "message.delivered"
    """The receiving system took responsibility (RFC 5321 §6.1); it says nothing of the inbox."""
    BOUNCED = "message.bounced"
    """The recipient will not get the message: refused for good."""
    EXPIRED = "message.expired"
    """The message's time ended before any try succeeded."""
    UNKNOWN = "message.unknown"
    """The receiver may have the message: its reply, or our worker, was lost, and it is not sent again."""


class Category(StrEnum):
    """What kind of trouble a try met."""

    RECIPIENT = "recipient"
    """The address does not exist or cannot take mail; the only kind that would ever suppress it."""
    MAILBOX_FULL = "mailbox_full"
    """The mailbox or its system is out of space."""
    POLICY = "policy"
    """A rule of the receiver refused the message."""
    REPUTATION = "reputation"
    """The receiver mistrusts the sending address or domain."""
    CONTENT = "content"
    """The receiver objects to what the message holds."""
    AUTHENTICATION = "authentication"
    """SPF, DKIM, DMARC, reverse DNS or the EHLO name was missing or wrong."""
    NETWORK = "network"
    """A connection or a DNS query failed, or the receiver's system is in trouble."""
    PROTOCOL = "protocol"
    """The other side did not follow the protocol, or does not offer what the message needs."""
    LOCAL = "local"
    """The trouble is our own: a setting, or a worker that stopped."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The host that a try spoke to. `tls` is the protocol version (`TLSv1.3`) or None for plain text.

    `source` and `source_address` tell where from, None where the system picked the address.
    """

    host: str
    address: str
    tls: str | None = None
    source: str | None = None
    source_address: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an SMTP dialogue. `direction` is `>` for what was sent and `<` for what came."""

    at: datetime
    direction: str
    text: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """The SMTP part of an event: how a try went. `text` is for people when there is no reply."""

    category: Category | None
    reply: Reply | None
    peer: Peer | None
    text: str
    final: bool
    next_attempt_at: datetime | None = None
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One fact about one recipient, as it is stored; it never changes."""

    id: EventId
    type: EventType
    timestamp: datetime
    message: MessageId
    recipient: RecipientId
    address: str
    tags: tuple[str, ...]
    metadata: Mapping[str, str]
    delivery: Delivery | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A stored fact with its place in the history of its message (from 1, no gaps)."""

    sequence: int
    record: EventRecord


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try at some recipients of a message. `result` names what came of it for each, in their order."""

    started_at: datetime
    finished_at: datetime
    recipients: tuple[RecipientId, ...]
    results: tuple[str, ...]
    peer: Peer | None
    text: str
    dialogue: tuple[Line, ...] = ()
