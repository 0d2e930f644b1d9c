"""What reports are made of, for tests, and how an independent reader sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.message import Message as ParsedMessage
from email.policy import default

from app.events import Category, Delivery, Peer
from app.mail.reply import Reply
from app.messages import Field, Message, Recipient, RecipientState, Status
from app.spool.workers.reports import Notice
from tests.fakes.letters import Letter

ACCEPTED_AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW = ACCEPTED_AT + timedelta(hours=5)
PEER = Peer("mx.example.org", "192.0.2.1", "TLSv1.3")
REFUSAL = Reply(550, "5.1.1", "No such user")
HEADER = b"From: sender@example.com\r\nSubject: hello\r\nMessage-ID: <abc@example.com>\r\n"


def message(
    *to: str,
    bcc: Sequence[str] = (),
    report_to: str | None = "ops@example.com",
    mail_from: str = "sender@example.com",
    is_merged: bool = False,
) -> Message:
    """Return a message that asks for reports."""
    written = Letter(to=to, created_at=ACCEPTED_AT, lives=timedelta(days=4)).message()
    hidden = tuple(Recipient(each, each.partition("@")[2], Field.BCC) for each in bcc)
    return replace(
        written,
        recipients=(*written.recipients, *hidden),
        report_to=report_to,
        mail_from=mail_from,
        is_merged=is_merged,
    )


def state(
    status: Status, reply: Reply | None = REFUSAL, text: str = "", peer: Peer | None = PEER
) -> RecipientState:
    """Return where a recipient stands after a try."""
    last = Delivery(Category.RECIPIENT, reply, peer, text, final=True)
    return RecipientState(status, attempts=1, last=last, tried_at=NOW)


def failed(told: Message, *states: RecipientState) -> Notice:
    """Return a notice of failures, of the first recipients of a message."""
    return Notice(f"{told.id}/2", told, dict(enumerate(states)), HEADER)


def late(told: Message, *states: RecipientState) -> Notice:
    """Return a notice of lateness."""
    return replace(failed(told, *states), member=f"{told.id}/late")


@dataclass(frozen=True)
class Reread:
    """A report as the standard library reads it: its fields, its parts, and the groups of its second part."""

    mail: EmailMessage
    parts: Sequence[EmailMessage]
    groups: Sequence[Mapping[str, str]] = field(default_factory=tuple)

    @property
    def words(self) -> str:
        """The part for people."""
        return str(self.parts[0].get_content())

    @property
    def recipients(self) -> Sequence[Mapping[str, str]]:
        """The groups on recipients."""
        return self.groups[1:]


def reread(raw: bytes) -> Reread:
    """Parse a report."""
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    assert not mail.defects
    parts = [part for part in mail.iter_parts() if isinstance(part, EmailMessage)]
    return Reread(mail, parts, [_fields(group) for group in _groups(parts[1])])


def _groups(status: EmailMessage) -> Sequence[ParsedMessage]:
    payload = status.get_payload()
    assert isinstance(payload, list)
    return [group for group in payload if isinstance(group, ParsedMessage)]


def _fields(group: ParsedMessage) -> dict[str, str]:
    return {name: " ".join(str(value).split()) for name, value in group.items()}
