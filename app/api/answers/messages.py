"""Answers about messages: what was accepted, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from app.api.answers.history import DeliveryOut
from app.api.answers.model import AnswerModel, Time
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


class AcceptedRecipient(AnswerModel):
    """One recipient of a message that was just accepted."""

    id: str = Field(examples=["rcp_0197a3f05b7c7d3e8f1a2b3c4d5e6f70_0"])
    address: str = Field(
        description="The envelope address: its domain is in lower case and A-labels."
    )
    field: Place
    status: Status


class Accepted(AnswerModel):
    """A message is on disk and will be sent to each recipient that is not suppressed."""

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
                    status=receipt.status(index),
                )
                for index, recipient in enumerate(receipt.recipients)
            ],
        )


class RecipientOut(AcceptedRecipient):
    """One recipient, and where it stands."""

    attempts: int = Field(
        description="How often the receiver gave a verdict on this recipient, or had no host safe enough for it."
    )
    next_attempt_at: Time | None = Field(
        description="When it is tried next; null when nothing is left to do."
    )
    return_path: str = Field(
        description="What MAIL FROM names for this recipient: where its bounces go. "
        "Empty for a delivery report, which has none."
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
            return_path=message.return_path(index),
            last=DeliveryOut.of(state.last),
        )


class MessageOut(AnswerModel):
    """A message, and where each of its recipients stands."""

    id: str
    sender: str = Field(
        serialization_alias="from",
        description="The author's address; empty for a delivery report.",
    )
    mail_from: str = Field(
        description="The return path of recipients that have none of their own: the author's address, "
        "but where a finished mail came with another. Empty for a delivery report, which has none."
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
            sender=message.author,
            mail_from=message.mail_from,
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
