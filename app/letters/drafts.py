"""Drafts: requests to send, checked field by field but not yet messages. Bcc stands only here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.mail.address import Address, Mailbox
from app.mail.mime.content import Attachment
from app.mail.mime.invitation import Invitation
from app.mail.threads import Thread
from app.messages import Field, OnUnknown, Recipient, Stream, TlsWish


@dataclass(frozen=True, slots=True)
class Options:
    """How a message is to be carried and told of, whatever it says."""

    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    stream: Stream = Stream.TRANSACTIONAL
    on_unknown: OnUnknown = OnUnknown.RETRY
    tls: TlsWish = TlsWish.OPPORTUNISTIC
    report_to: Address | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A mail to be composed."""

    sender: Mailbox
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    amp: str | None = None
    invitation: Invitation | None = None
    attachments: tuple[Attachment, ...] = ()
    thread: Thread = field(default_factory=Thread)
    headers: tuple[tuple[str, str], ...] = ()
    options: Options = Options()

    @property
    def mail_from(self) -> Address:
        """Whom trouble is told: the address that SMTP calls the return path."""
        return self.sender.address

    @property
    def size_bytes(self) -> int:
        """About how much there is to compose."""
        texts = len(self.text or "") + len(self.html or "") + len(self.amp or "")
        texts += 2 * len(self.invitation.content) if self.invitation else 0
        return texts + sum(len(attachment.content) for attachment in self.attachments)

    def recipients(self) -> tuple[Recipient, ...]:
        """Return each address once, under the first name that it has."""
        unique: dict[str, Recipient] = {}
        for box, place in self._named():
            address = str(box.address)
            unique.setdefault(address, Recipient(address, box.address.domain, place))
        return tuple(unique.values())

    def _named(self) -> Iterator[tuple[Mailbox, Field]]:
        for place, boxes in ((Field.TO, self.to), (Field.CC, self.cc), (Field.BCC, self.bcc)):
            for box in boxes:
                yield box, place
