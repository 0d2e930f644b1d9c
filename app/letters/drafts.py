"""Drafts: requests to send, checked field by field but not yet messages. Bcc stands only here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from app.letters.unsubscribe import Unsubscribe
from app.letters.values import Variables
from app.mail.address import Address, Mailbox
from app.mail.finished.reading import FinishedMail
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
class OwnData:
    """The variables of one recipient, and its address as the caller wrote it beside them."""

    written: str
    variables: Variables


@dataclass(frozen=True, slots=True)
class TemplateRef:
    """A stored template; the current version where none is named."""

    name: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A mail to be composed, or several that differ in their recipient.

    What it says comes from `template` where one is named (`app.letters.library`), but for a subject of its own.

    Subject and texts hold variables where `variables` is given. Where `recipients_data` is given, by address,
    each recipient gets a copy of its own (`app.letters.merging`); likewise where each gets a URL of its own to
    unsubscribe at (`app.letters.additions`).
    """

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
    template: TemplateRef | None = None
    unsubscribe: Unsubscribe | None = None
    variables: Variables | None = None
    recipients_data: Mapping[str, OwnData] | None = None
    options: Options = Options()

    @property
    def sender_pointer(self) -> str:
        """Where the request names the sender."""
        return "/from"

    @property
    def mail_from(self) -> Address:
        """Whom trouble is told: the address that SMTP calls the return path."""
        return self.sender.address

    @property
    def has_own_path(self) -> bool:
        """Return paths of composed mails are ours to choose."""
        return False

    @property
    def size_bytes(self) -> int:
        """About how much there is to compose, in all copies together."""
        texts = len(self.text or "") + len(self.html or "") + len(self.amp or "")
        texts += 2 * len(self.invitation.content) if self.invitation else 0
        files = sum(len(attachment.content) for attachment in self.attachments)
        copies = len(self.to) + len(self.cc) + len(self.bcc) if self.has_copies else 1
        return (texts + files) * copies

    @property
    def is_merged(self) -> bool:
        """Tell whether each recipient gets a mail of its own, made from its data."""
        return self.recipients_data is not None

    @property
    def has_copies(self) -> bool:
        """Tell whether each recipient gets a copy of its own, for whatever reason."""
        is_hosted = self.unsubscribe is not None and self.unsubscribe.is_hosted
        return self.is_merged or (is_hosted and len(self.recipients()) > 1)

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


@dataclass(frozen=True, slots=True)
class RawDraft:
    """A mail that is finished, and its envelope. `has_own_path` tells that its caller chose the return path."""

    mail: FinishedMail
    mail_from: Address
    rcpt_to: tuple[Address, ...]
    options: Options = Options()
    has_own_path: bool = False

    @property
    def has_copies(self) -> bool:
        """A finished mail is the same for all."""
        return False

    @property
    def sender(self) -> Mailbox:
        """Whose mail it is: the address in From."""
        return Mailbox("", self.mail.author)

    @property
    def sender_pointer(self) -> str:
        """Where the request names the sender."""
        return "/header/from"

    @property
    def subject(self) -> str:
        """The subject as people read it."""
        return self.mail.subject

    @property
    def size_bytes(self) -> int:
        """About how much there is to sign."""
        return len(self.mail.head) + len(self.mail.body)

    def recipients(self) -> tuple[Recipient, ...]:
        """Return each address of the envelope once; whom neither To nor Cc names is nobody else's to know."""
        unique = {str(address): address.domain for address in self.rcpt_to}
        return tuple(Recipient(each, domain, self._place(each)) for each, domain in unique.items())

    def _place(self, address: str) -> Field:
        if address in self.mail.to:
            return Field.TO
        return Field.CC if address in self.mail.cc else Field.BCC


AnyDraft: TypeAlias = Draft | RawDraft
"""What can be accepted."""
