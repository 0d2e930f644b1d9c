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
    """What happened, to a recipient or to a domain."""

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
    SUPPRESSED = "message.suppressed"
    """The address is on the suppression list of the project: the message is not sent to it."""
    UNSUBSCRIBED = "message.unsubscribed"
    """The recipient wants no more mail of this stream; it says nothing of where this message stands."""
    DOMAIN_VERIFIED = "domain.verified"
    """The DNS records of a domain are as they should be: mail may be sent from it."""
    DOMAIN_FAILING = "domain.failing"
    """They have not been for too long: mail from the domain is held."""


class SuppressionReason(StrEnum):
    """Why an address is on a suppression list."""

    MANUAL = "manual"
    """It was added by hand, or by the application."""
    UNSUBSCRIBED = "unsubscribed"
    """Its owner asked for no more mail."""
    BOUNCED = "bounced"
    """Its receiver said that the address does not exist or cannot take mail."""
    COMPLAINED = "complained"
    """Its owner called a message spam."""
    IMPORTED = "imported"
    """It came with an import that did not say why."""


class Category(StrEnum):
    """What kind of trouble a try met."""

    RECIPIENT = "recipient"
    """The address does not exist or cannot take mail; the only kind that ever suppresses it."""
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


class TlsPolicy(StrEnum):
    """Which rule a connection had to keep, named after where the rule came from (docs/tls.md)."""

    NONE = "none"
    """The settings say that this domain is sent to in plain text."""
    OPPORTUNISTIC = "opportunistic"
    """Nobody asks for more: TLS where it can be had, any certificate, and plain text else (RFC 7435)."""
    VERIFIED = "verified"
    """The message asks for a valid certificate."""
    MTA_STS = "mta-sts"
    """The domain's MTA-STS policy names the host and wants a valid certificate (RFC 8461)."""
    MTA_STS_TESTING = "mta-sts-testing"
    """The domain has such a policy, and still wants its mail when it fails."""
    DANE = "dane"
    """The host's TLSA records want TLS, and say which certificate (RFC 7672)."""
    REQUIRETLS = "requiretls"
    """The message asks for a valid certificate and a promise to ask the same of others (RFC 8689)."""


class Certificate(StrEnum):
    """What is to be said of the certificate that a host showed."""

    VALID = "valid"
    """A trusted authority gave it to a host of this name, and it has not ended."""
    PINNED = "pinned"
    """A TLSA record of the host vouches for it."""
    UNPINNED = "unpinned"
    """No TLSA record of the host fits it, though some could."""
    EXPIRED = "expired"
    """Its time is over, or has not begun."""
    WRONG_NAME = "wrong_name"
    """It is for other names."""
    UNTRUSTED = "untrusted"
    """No trusted authority stands behind it: it is self-signed, or a link of its chain is missing."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The host that a try spoke to. `tls` is the protocol version (`TLSv1.3`) or None for plain text.

    `cipher` and `certificate` tell more of TLS, `policy` which rule the connection had to keep.
    `source` and `source_address` tell where from, None where the system picked the address.
    """

    host: str
    address: str
    tls: str | None = None
    source: str | None = None
    source_address: str | None = None
    cipher: str | None = None
    certificate: Certificate | None = None
    policy: TlsPolicy | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an SMTP dialogue. `direction` is `>` for what was sent and `<` for what came."""

    at: datetime
    direction: str
    text: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """The SMTP part of an event: how a try went. `text` is for people when there is no reply.

    `suppression` says why the address is suppressed, where that is why there was no try.
    """

    category: Category | None
    reply: Reply | None
    peer: Peer | None
    text: str
    final: bool
    next_attempt_at: datetime | None = None
    in_doubt: bool = False
    suppression: SuppressionReason | None = None


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
    """A stored fact with its place in the history of its message (from 1, no gaps; 0 where that is gone)."""

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
