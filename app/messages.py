"""Messages: what an accepted request becomes, and how the status of each recipient may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from app.events import Delivery, EventRecord, EventType, SuppressionReason
from app.ids import MessageId, ProjectId, RecipientId, new_event_id, recipient_id
from app.mail.mime.transfer import SharedBody


class Stream(StrEnum):
    """Which of a project's two kinds of mail a message is; each has lanes of its own."""

    TRANSACTIONAL = "transactional"
    """One person caused it and waits for it."""
    BULK = "bulk"
    """Many get it at once."""


class Field(StrEnum):
    """Where a recipient was named in the request."""

    TO = "to"
    """In the To header field."""
    CC = "cc"
    """In the Cc header field."""
    BCC = "bcc"
    """Nowhere but in the envelope."""


class OnUnknown(StrEnum):
    """What to do when nobody can know whether the receiver took a message: its reply was lost (RFC 1047)."""

    RETRY = "retry"
    """Send again: better twice than never."""
    HOLD = "hold"
    """Stop and tell: better never than twice."""


class TlsWish(StrEnum):
    """How safe a message wants its way to be, beside what its receivers ask for."""

    OPPORTUNISTIC = "opportunistic"
    """As safe as the receiver asks for; TLS where it can be had, if it asks for nothing."""
    VERIFIED = "verified"
    """Only to hosts with a valid certificate."""
    REQUIRE = "require"
    """Only to such hosts that also promise to pass it on like this (REQUIRETLS, RFC 8689)."""
    OPTIONAL = "optional"
    """Rather arrive than be safe: what the receiver asks for is not insisted on (`TLS-Required: No`, RFC 8689)."""


class Status(StrEnum):
    """Where a recipient stands."""

    QUEUED = "queued"
    """Not tried yet."""
    DEFERRED = "deferred"
    """Tried, and will be tried again."""
    DELIVERED = "delivered"
    """Taken by the receiving system."""
    BOUNCED = "bounced"
    """Refused for good."""
    EXPIRED = "expired"
    """Its time ended."""
    UNKNOWN = "unknown"
    """Perhaps taken: the reply, or our worker, was lost after the final dot; it is not sent again."""
    SUPPRESSED = "suppressed"
    """Not sent: the address is on the suppression list."""


_ENDS = frozenset(
    {Status.DELIVERED, Status.BOUNCED, Status.EXPIRED, Status.UNKNOWN, Status.SUPPRESSED}
)

TRANSITIONS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        Status.QUEUED: _ENDS | {Status.DEFERRED},
        Status.DEFERRED: _ENDS | {Status.DEFERRED},
        **{end: frozenset[Status]() for end in _ENDS},
    }
)


@dataclass(frozen=True, slots=True)
class Recipient:
    """One envelope address of a message."""

    address: str
    domain: str
    field: Field


MAX_NOTE = 200
"""Characters of the note beside a suppression."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """Why an address gets no mail of a stream, and since when. `message` is the one that led to it, if one did."""

    reason: SuppressionReason
    since: datetime
    message: MessageId | None = None
    note: str = ""

    @property
    def text(self) -> str:
        """One line for people."""
        return (
            f"5.7.1 not sent: the address is suppressed ({self.reason}) since {self.since:%Y-%m-%d}"
        )

    def state(self) -> RecipientState:
        """Return where a recipient stands that was suppressed before anything was tried."""
        last = Delivery(None, None, None, self.text, final=True, suppression=self.reason)
        return RecipientState(Status.SUPPRESSED, last=last)


@dataclass(frozen=True, slots=True)
class Message:
    """What was accepted; it never changes. The bytes on the wire are kept beside it.

    `mail_from` is empty for the null return path. `report_to` gets a mail when a recipient fails, and one
    when some are still under way at `late_at`. A report names the message that it is about in `reports_on`; no
    endpoint is told of what becomes of reports. `is_merged` says that each recipient gets a copy of its own, and
    no report tells one of another. `size_bytes` is the size of the largest copy. `other_author` is the address in
    From where `mail_from` is another one. `return_paths` stand in for `mail_from` in the envelope, one for each
    recipient, in their order; there are none where it is used itself.
    """

    id: MessageId
    project: ProjectId
    stream: Stream
    mail_from: str
    subject: str
    recipients: tuple[Recipient, ...]
    tags: tuple[str, ...]
    metadata: Mapping[str, str]
    created_at: datetime
    expires_at: datetime
    size_bytes: int = 0
    on_unknown: OnUnknown = OnUnknown.RETRY
    tls: TlsWish = TlsWish.OPPORTUNISTIC
    report_to: str | None = None
    late_at: datetime | None = None
    reports_on: MessageId | None = None
    is_merged: bool = False
    other_author: str = ""
    return_paths: tuple[str, ...] = ()

    @property
    def author(self) -> str:
        """The address in From; empty for a delivery report."""
        return self.other_author or self.mail_from

    @property
    def is_reported(self) -> bool:
        """Tell whether its failures are reported by mail; never where its return path is null (RFC 3461 §5.2)."""
        return bool(self.report_to and self.mail_from)

    @property
    def goes_one_by_one(self) -> bool:
        """Tell whether recipients that get the same bytes need a transaction each: it has but one return path."""
        return len(self.return_paths) > 1 and not self.is_merged

    def return_path(self, index: int) -> str:
        """Return what MAIL FROM names for the recipient at `index`; empty for the null return path."""
        return self.return_paths[index] if self.return_paths else self.mail_from

    def recipient_id(self, index: int) -> RecipientId:
        """Return the id of the recipient at `index`."""
        return recipient_id(self.id, index)

    def event(
        self, index: int, kind: EventType, at: datetime, delivery: Delivery | None = None
    ) -> EventRecord:
        """Return a new fact about the recipient at `index`."""
        return EventRecord(
            id=new_event_id(),
            type=kind,
            timestamp=at,
            message=self.id,
            recipient=self.recipient_id(index),
            address=self.recipients[index].address,
            tags=self.tags,
            metadata=self.metadata,
            delivery=delivery,
        )


@dataclass(frozen=True, slots=True)
class Letter:
    """A message with its bytes on the wire: one copy for all its recipients, or one for each, in their order.

    Where a copy has one of the parts in `shared`, the name of the part stands there (`app.mail.mime.sharing`).
    """

    message: Message
    copies: tuple[bytes, ...]
    shared: tuple[SharedBody, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError where the copies go neither for all nor for each."""
        wanted = len(self.message.recipients) if self.message.is_merged else 1
        if len(self.copies) != wanted:
            raise ValueError(f"{len(self.copies)} copies where {wanted} are needed")

    @property
    def common(self) -> bytes:
        """What all recipients get; empty where each has a copy of its own."""
        return b"" if self.message.is_merged else self.copies[0]

    def own(self, index: int) -> bytes:
        """Return the copy of the recipient at `index` alone; empty where there is one for all."""
        return self.copies[index] if self.message.is_merged else b""


@dataclass(frozen=True, slots=True)
class RecipientState:
    """Where one recipient stands. `attempts` counts verdicts of the receiver, and tries that no host
    was safe enough for (and no trouble on the way); `interruptions` counts claims whose worker was lost; `source`
    is where it was last sent from, and `tried_at` when that ended."""

    status: Status = Status.QUEUED
    attempts: int = 0
    interruptions: int = 0
    due_at: datetime | None = None
    last: Delivery | None = None
    source: str | None = None
    tried_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message with the state of each of its recipients, in their order."""

    message: Message
    states: tuple[RecipientState, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to an accepted request: it is on disk. `replayed` tells a repeated idempotency key.

    `suppressed` are the indexes of recipients that it is not sent to.
    """

    message: MessageId
    recipients: tuple[Recipient, ...]
    created_at: datetime
    replayed: bool = False
    suppressed: tuple[int, ...] = ()

    def status(self, index: int) -> Status:
        """Return where the recipient at `index` stood when the message was accepted."""
        return Status.SUPPRESSED if index in self.suppressed else Status.QUEUED
