"""What clients send to the resources that are not mail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.api.fields import IS_LINE, MAX_LIST, AddressText, Moment, WireModel
from app.api.resources.exports import Form
from app.events import EventType, SuppressionReason
from app.ids import MESSAGE_PATTERN, MessageId
from app.messages import MAX_NOTE, Stream, Suppression
from app.projects.suppressions import Entry
from app.projects.urls import MAX_URL


class EndpointRequest(WireModel):
    """A URL that shall be told of events."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "url": "https://shop.example/hooks/mail",
                    "events": ["message.delivered", "message.bounced"],
                    "description": "order mails",
                }
            ]
        }
    )

    url: Annotated[str, Field(max_length=MAX_URL), IS_LINE] = Field(
        description="An `https` URL on port 443 or 8443 of a host that is public."
    )
    events: Annotated[list[Annotated[EventType, Field(strict=False)]], Field(max_length=100)] = (
        Field(default_factory=list, description="The event types wanted; all where it is empty.")
    )
    description: Annotated[str, Field(max_length=200), IS_LINE] = Field(
        default="", description="For people."
    )


class SuppressionRequest(WireModel):
    """Addresses that shall get no more mail."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"addresses": ["ada@example.com"], "stream": "bulk", "note": "asked by telephone"}
            ]
        }
    )

    addresses: Annotated[list[AddressText], Field(min_length=1, max_length=MAX_LIST)] = Field(
        description="Without display names. More of them are sent as an import."
    )
    stream: Annotated[Stream, Field(strict=False)] | None = Field(
        default=None, description="The stream that they get nothing of; both where it is missing."
    )
    note: Annotated[str, Field(max_length=MAX_NOTE), IS_LINE] = Field(
        default="", description="For people."
    )

    def entries(self, now: datetime) -> tuple[Entry, ...]:
        """Return what is to be added."""
        why = Suppression(SuppressionReason.MANUAL, now, None, self.note)
        return tuple(
            Entry.of(stream, str(address), why)
            for address in self.addresses
            for stream in streams(self.stream)
        )


class SuppressionLine(WireModel):
    """One line of an import, as an export writes it; only the address is needed."""

    address: AddressText = Field(description="Without a display name.")
    stream: Annotated[Stream, Field(strict=False)] | None = Field(
        default=None,
        description="The stream that it gets nothing of; what the query says where it is missing.",
    )
    reason: Annotated[SuppressionReason, Field(strict=False)] = Field(
        default=SuppressionReason.IMPORTED, description="Why."
    )
    since: Moment | None = Field(
        default=None, description="Since when; now where it is missing or in the future."
    )
    message_id: Annotated[str, Field(pattern=MESSAGE_PATTERN)] | None = Field(
        default=None, description="The message that led to it."
    )
    note: Annotated[str, Field(max_length=MAX_NOTE), IS_LINE] = Field(
        default="", description="For people."
    )

    def entries(self, others: Sequence[Stream], now: datetime) -> tuple[Entry, ...]:
        """Return what is to be added; to the streams `others` where the line names none.

        What is dated in the future holds from now on.
        """
        message = MessageId(self.message_id) if self.message_id else None
        since = min(self.since.astimezone(UTC), now) if self.since else now
        why = Suppression(self.reason, since, message, self.note)
        chosen = (self.stream,) if self.stream else others
        return tuple(Entry.of(stream, str(self.address), why) for stream in chosen)


class QueryModel(BaseModel):
    """Parameters of a query; unknown ones are refused, since one that is misspelt could ask for too much."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StreamQuery(QueryModel):
    """Which lists are meant."""

    stream: Stream | None = Field(
        default=None, description="The list of one stream; both where it is missing."
    )


class ListingQuery(StreamQuery):
    """Which entries are wanted."""

    reason: SuppressionReason | None = Field(
        default=None, description="Entries for this reason alone."
    )
    cursor: str | None = Field(
        default=None, max_length=1_000, description="`next_cursor` of the page before."
    )
    limit: int = Field(default=100, ge=1, le=1_000, description="Entries of a page at most.")


class ExportQuery(StreamQuery):
    """What is wanted, and how."""

    reason: SuppressionReason | None = Field(
        default=None, description="Entries for this reason alone."
    )
    format: Form = Field(default=Form.NDJSON, description="How the lines are written.")


def streams(stream: Stream | None) -> tuple[Stream, ...]:
    """Return the streams that are meant: all where none is named."""
    return (stream,) if stream else tuple(Stream)
