"""Messages for tests that start below the HTTP edge."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app import messages
from app.events import EventRecord, EventType
from app.ids import ProjectId, new_message_id
from app.messages import Field, Message, Recipient, Stream
from app.spool.store import Idempotency, Kept, Store

PROJECT = ProjectId("acme")


@dataclass(frozen=True)
class Letter:
    """What a test says of a message; the rest does not matter to it."""

    to: tuple[str, ...] = ("ann@example.org",)
    project: ProjectId = PROJECT
    stream: Stream = Stream.TRANSACTIONAL
    content: bytes = b"Subject: hello\r\n\r\nhello\r\n"
    is_merged: bool = False
    has_paths: bool = False
    lives: timedelta = timedelta(hours=1)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def message(self) -> Message:
        """Return the message of this letter, with a new id."""
        return Message(
            id=new_message_id(),
            project=self.project,
            stream=self.stream,
            mail_from="sender@example.com",
            subject="hello",
            recipients=tuple(Recipient(to, to.partition("@")[2], Field.TO) for to in self.to),
            tags=("greeting",),
            metadata={"order": "7"},
            created_at=self.created_at,
            expires_at=self.created_at + self.lives,
            size_bytes=max(map(len, self.copies)),
            is_merged=self.is_merged,
            return_paths=self.paths,
        )

    @property
    def paths(self) -> tuple[str, ...]:
        """The return paths of its recipients, where they have their own."""
        places = range(len(self.to)) if self.has_paths else ()
        return tuple(f"path{place}@bounces.example.com" for place in places)

    @property
    def copies(self) -> tuple[bytes, ...]:
        """The content for all, or for each with its address in front where each has a copy of its own."""
        if not self.is_merged:
            return (self.content,)
        return tuple(f"To: {to}\r\n".encode() + self.content for to in self.to)


def queued(message: Message) -> tuple[EventRecord, ...]:
    """Return the first event of each recipient."""
    indexes = range(len(message.recipients))
    return tuple(message.event(index, EventType.QUEUED, message.created_at) for index in indexes)


async def keep(
    store: Store, letter: Letter, idempotency: Idempotency | None = None
) -> tuple[Message, Kept]:
    """Put a letter into the spool; return its message and the answer."""
    message = letter.message()
    kept = await store.keep(messages.Letter(message, letter.copies), idempotency)
    return message, kept
