"""Answers about suppression lists."""

from __future__ import annotations

from pydantic import Field

from app.api.answers.model import AnswerModel, Time
from app.events import SuppressionReason
from app.messages import Stream
from app.projects.suppressions import Entry


class SuppressionOut(AnswerModel):
    """One address that gets no mail of a stream."""

    address: str = Field(
        description="The address in lower case, whatever its spelling was: lists do not tell cases apart.",
        examples=["ada@example.com"],
    )
    stream: Stream
    reason: SuppressionReason
    since: Time = Field(description="Since when; adding it again does not change that.")
    message_id: str | None = Field(
        description="The message that led to it; null where none did.",
        examples=["msg_0197a3f05b7c7d3e8f1a2b3c4d5e6f70"],
    )
    note: str = Field(
        description="Your own, or for a bounce what the receiver said.",
        examples=["550 5.1.1 No such user"],
    )

    @classmethod
    def of(cls, entry: Entry) -> SuppressionOut:
        """Return the answer that shows `entry`."""
        return cls(
            address=entry.address,
            stream=entry.stream,
            reason=entry.why.reason,
            since=entry.why.since,
            message_id=entry.why.message,
            note=entry.why.note,
        )


class SuppressionList(AnswerModel):
    """Entries as they stand now, each for one address and one stream."""

    data: list[SuppressionOut]


class SuppressionPage(SuppressionList):
    """A page of the lists, in the order of streams and addresses."""

    next_cursor: str | None = Field(
        description="What to ask the next page with; null on the last one. A page may have fewer entries than "
        "asked for, even none, and still not be the last."
    )


class RefusedLine(AnswerModel):
    """One line that was not imported."""

    line: int = Field(description="Its number, from 1.")
    code: str = Field(description="The kind of trouble, stable.", examples=["invalid_address"])
    detail: str = Field(description="What to do about it.")


class ImportOut(AnswerModel):
    """What became of an import."""

    lines: int = Field(
        description="Lines that were read: all but empty ones and the head of a CSV."
    )
    added: int = Field(description="Entries that are new; a line without a stream makes two.")
    known: int = Field(description="Entries that stood before, and stay as they are.")
    refused: int = Field(description="Lines that were not imported.")
    errors: list[RefusedLine] = Field(description="The first thousand of those.")
