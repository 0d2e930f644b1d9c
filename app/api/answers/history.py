"""Answers about what happened to messages: events, and tries with their dialogue."""

from __future__ import annotations

from pydantic import Field

from app.api.answers.model import AnswerModel, Time
from app.events import (
    AttemptRecord,
    Category,
    Certificate,
    Delivery,
    Event,
    EventType,
    Line,
    SuppressionReason,
    TlsPolicy,
)
from app.wire import delivery_json, event_json, peer_json


class DeliveryOut(AnswerModel):
    """How a try went."""

    category: Category | None = Field(description="The kind of trouble; null where there was none.")
    code: int | None = Field(
        description="The SMTP reply code; null where the receiver said nothing."
    )
    enhanced_code: str | None = Field(
        description="The enhanced status code (RFC 3463), such as `5.1.1`."
    )
    text: str = Field(description="The receiver's text, or what happened in one line.")
    host: str | None = Field(description="The host that was spoken to.")
    ip: str | None = Field(description="Its address.")
    tls: str | None = Field(description="The protocol, such as `TLSv1.3`; null for plain text.")
    tls_cipher: str | None = Field(description="The cipher suite, by OpenSSL's name.")
    tls_certificate: Certificate | None = Field(
        description="What the host's certificate is worth, whether that mattered or not; null if none was seen."
    )
    tls_policy: TlsPolicy | None = Field(
        description="Which rule the connection had to keep, by where it comes from; null where there was no host."
    )
    source: str | None = Field(
        description="The source it was sent from; null where none are configured."
    )
    source_ip: str | None = Field(description="The local address of that source.")
    final: bool = Field(description="Whether nothing will change any more.")
    in_doubt: bool = Field(
        description="The message was sent but the receiver's answer never came: it may have the message."
    )
    suppression: SuppressionReason | None = Field(
        description="Why the address is on the suppression list, where that kept the message from it; else null."
    )
    next_attempt_at: Time | None = Field(description="When it is tried again.")

    @classmethod
    def of(cls, delivery: Delivery | None) -> DeliveryOut | None:
        """Return the answer that shows `delivery`, in the form that events have."""
        return cls.model_validate(delivery_json(delivery)) if delivery else None


class EventData(AnswerModel):
    """What happened, to whom."""

    message_id: str
    recipient_id: str
    address: str
    sequence: int | None = Field(
        description="The place in the history of the message: from 1, without gaps. Null, without tags and "
        "metadata, in `message.unsubscribed` of a message that is kept no more."
    )
    tags: list[str]
    metadata: dict[str, str]
    delivery: DeliveryOut | None = Field(
        default=None, description="Missing where nothing was tried."
    )


class EventOut(AnswerModel):
    """One fact about one recipient; webhooks carry the same."""

    id: str = Field(
        description="The same however often it is posted.",
        examples=["evt_0197a3f05b7c7d3e8f1a2b3c4d5e6f70"],
    )
    type: EventType
    timestamp: Time
    data: EventData

    @classmethod
    def of(cls, event: Event) -> EventOut:
        """Return the answer that shows `event`."""
        return cls.model_validate(event_json(event))


class EventList(AnswerModel):
    """The history of a message, oldest first."""

    data: list[EventOut]

    @classmethod
    def of(cls, events: tuple[Event, ...]) -> EventList:
        """Return the answer that lists `events`."""
        return cls(data=[EventOut.of(event) for event in events])


class LineOut(AnswerModel):
    """One line of an SMTP dialogue."""

    at: Time
    direction: str = Field(description="`>` was sent, `<` was received.")
    text: str

    @classmethod
    def of(cls, line: Line) -> LineOut:
        """Return the answer that shows `line`."""
        return cls(at=line.at, direction=line.direction, text=line.text)


class AttemptRecipient(AnswerModel):
    """What an attempt came to for one recipient."""

    id: str
    result: str


class AttemptOut(AnswerModel):
    """One try at some recipients of a message."""

    started_at: Time
    finished_at: Time
    recipients: list[AttemptRecipient]
    host: str | None
    ip: str | None
    tls: str | None
    tls_cipher: str | None
    tls_certificate: Certificate | None
    tls_policy: TlsPolicy | None
    source: str | None
    source_ip: str | None
    text: str
    dialogue: list[LineOut]

    @classmethod
    def of(cls, attempt: AttemptRecord) -> AttemptOut:
        """Return the answer that shows `attempt`."""
        both = zip(attempt.recipients, attempt.results, strict=True)
        return cls.model_validate(
            {
                "started_at": attempt.started_at,
                "finished_at": attempt.finished_at,
                "recipients": [AttemptRecipient(id=name, result=result) for name, result in both],
                **peer_json(attempt.peer),
                "text": attempt.text,
                "dialogue": [LineOut.of(line) for line in attempt.dialogue],
            }
        )


class AttemptList(AnswerModel):
    """All tries of a message, oldest first."""

    data: list[AttemptOut]

    @classmethod
    def of(cls, attempts: tuple[AttemptRecord, ...]) -> AttemptList:
        """Return the answer that lists `attempts`."""
        return cls(data=[AttemptOut.of(attempt) for attempt in attempts])
