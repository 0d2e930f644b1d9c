"""What clients get: the bodies of answers, and the way to each from the domain's values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from app.events import (
    AttemptRecord,
    Category,
    Certificate,
    Delivery,
    Event,
    EventType,
    Line,
    TlsPolicy,
)
from app.ids import recipient_id
from app.messages import Field as Place
from app.messages import (
    Message,
    MessageView,
    OnUnknown,
    Receipt,
    Recipient,
    RecipientState,
    Status,
    Stream,
    TlsWish,
)
from app.projects.endpoints import Endpoint
from app.wire import delivery_json, event_json, peer_json, rfc3339

Time = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "examples": ["2030-01-31T09:30:00.000Z"]}
    ),
]
"""A time in UTC, to the millisecond."""


class AnswerModel(BaseModel):
    """A JSON object of an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AcceptedRecipient(AnswerModel):
    """One recipient of a message that was just accepted."""

    id: str = Field(examples=["rcp_0197a3f05b7c7d3e8f1a2b3c4d5e6f70_0"])
    address: str = Field(
        description="The envelope address: its domain is in lower case and A-labels."
    )
    field: Place
    status: Status


class Accepted(AnswerModel):
    """A message is on disk and will be delivered."""

    id: str = Field(examples=["msg_0197a3f05b7c7d3e8f1a2b3c4d5e6f70"])
    created_at: Time
    recipients: list[AcceptedRecipient]

    @classmethod
    def of(cls, receipt: Receipt) -> Accepted:
        """Return the answer that shows `receipt`."""
        return cls(
            id=receipt.message,
            created_at=receipt.created_at,
            recipients=[
                AcceptedRecipient(
                    id=recipient_id(receipt.message, index),
                    address=recipient.address,
                    field=recipient.field,
                    status=Status.QUEUED,
                )
                for index, recipient in enumerate(receipt.recipients)
            ],
        )


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
    next_attempt_at: Time | None = Field(description="When it is tried again.")

    @classmethod
    def of(cls, delivery: Delivery | None) -> DeliveryOut | None:
        """Return the answer that shows `delivery`, in the form that events have."""
        return cls.model_validate(delivery_json(delivery)) if delivery else None


class RecipientOut(AcceptedRecipient):
    """One recipient, and where it stands."""

    attempts: int = Field(
        description="How often the receiver gave a verdict on this recipient, or had no host safe enough for it."
    )
    next_attempt_at: Time | None = Field(
        description="When it is tried next; null when nothing is left to do."
    )
    last: DeliveryOut | None = Field(description="How the last try went.")

    @classmethod
    def of(
        cls, message: Message, index: int, recipient: Recipient, state: RecipientState
    ) -> RecipientOut:
        """Return the answer that shows the recipient at `index`."""
        return cls(
            id=message.recipient_id(index),
            address=recipient.address,
            field=recipient.field,
            status=state.status,
            attempts=state.attempts,
            next_attempt_at=state.due_at,
            last=DeliveryOut.of(state.last),
        )


class MessageOut(AnswerModel):
    """A message, and where each of its recipients stands."""

    id: str
    sender: str = Field(
        serialization_alias="from",
        description="The author's address; empty for a delivery report, which has no return path.",
    )
    subject: str
    tags: list[str]
    metadata: Mapping[str, str]
    stream: Stream
    on_unknown: OnUnknown
    tls: TlsWish
    report_to: str | None = Field(description="Who gets delivery reports by mail.")
    reports_on: str | None = Field(
        description="The message that this one is a delivery report on; null for any other message."
    )
    size: int = Field(description="Bytes of the message as it is sent.")
    created_at: Time
    expires_at: Time = Field(description="When delivery is given up.")
    recipients: list[RecipientOut]

    @classmethod
    def of(cls, view: MessageView) -> MessageOut:
        """Return the answer that shows `view`."""
        message = view.message
        both = zip(message.recipients, view.states, strict=True)
        return cls(
            id=message.id,
            sender=message.mail_from,
            subject=message.subject,
            tags=list(message.tags),
            metadata=message.metadata,
            stream=message.stream,
            on_unknown=message.on_unknown,
            tls=message.tls,
            report_to=message.report_to,
            reports_on=message.reports_on,
            size=message.size_bytes,
            created_at=message.created_at,
            expires_at=message.expires_at,
            recipients=[RecipientOut.of(message, n, *pair) for n, pair in enumerate(both)],
        )


class EventData(AnswerModel):
    """What happened, to whom."""

    message_id: str
    recipient_id: str
    address: str
    sequence: int = Field(
        description="The place in the history of the message: from 1, without gaps."
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


class EndpointOut(AnswerModel):
    """A URL that is told of events."""

    id: str = Field(examples=["end_0197a3f05b7c7d3e8f1a2b3c4d5e6f70"])
    url: str
    events: list[EventType] = Field(description="The event types wanted; all where it is empty.")
    description: str
    created_at: Time

    @classmethod
    def of(cls, endpoint: Endpoint) -> EndpointOut:
        """Return the answer that shows `endpoint`, without its secret."""
        return cls(
            id=endpoint.id,
            url=endpoint.url,
            events=list(endpoint.events),
            description=endpoint.description,
            created_at=endpoint.created_at,
        )


class CreatedEndpoint(EndpointOut):
    """A new endpoint, with the secret that signs what is posted to it. It is shown this once."""

    secret: str = Field(examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"])

    @classmethod
    def of(cls, endpoint: Endpoint) -> CreatedEndpoint:
        """Return the answer that shows `endpoint` with its secret."""
        shown = EndpointOut.of(endpoint)
        return cls(**dict(shown), secret=endpoint.secret)


class EndpointList(AnswerModel):
    """The endpoints of the project, oldest first."""

    data: list[EndpointOut]

    @classmethod
    def of(cls, endpoints: tuple[Endpoint, ...]) -> EndpointList:
        """Return the answer that lists `endpoints`."""
        return cls(data=[EndpointOut.of(endpoint) for endpoint in endpoints])


class Alive(AnswerModel):
    """The process answers."""

    status: Literal["ok"]


class Ready(AnswerModel):
    """Mail can be taken and kept."""

    status: Literal["ready"]
    warnings: list[str] = Field(description="What weakens the promise of a 202.")


class RefusedField(AnswerModel):
    """One field that cannot be accepted."""

    pointer: str = Field(description="Where it stands in the body (RFC 6901).", examples=["/to/1"])
    code: str = Field(description="The kind of trouble, stable.", examples=["invalid_address"])
    detail: str = Field(description="What to do about it.")


class ProblemOut(AnswerModel):
    """Why a request was not done (RFC 9457)."""

    type: str = Field(examples=["urn:pillarbox:problem:invalid_request"])
    title: str = Field(description="What all problems of this code have in common.")
    status: int
    code: str = Field(description="The kind of problem, stable.", examples=["invalid_request"])
    detail: str = Field(description="What happened this time, and what to do.")
    errors: list[RefusedField] | None = Field(default=None, description="The refused fields.")
    reasons: list[str] | None = Field(default=None, description="Why the service is not ready.")
    instance: str | None = Field(default=None, description="Names this fault in the service's log.")
