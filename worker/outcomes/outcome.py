"""The value an attempt returns for each recipient; only `worker.settle` acts on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from app.events import Category, Peer, SuppressionReason
from app.mail.reply import Reply


class Verdict(StrEnum):
    """What a try came to for one recipient."""

    DELIVERED = "delivered"
    """The receiver took responsibility (RFC 5321 §4.2.5)."""
    DEFERRED = "deferred"
    """The receiver asked to try again later, or what became of the mail is not known."""
    BOUNCED = "bounced"
    """Refused for good."""
    UNREACHED = "unreached"
    """No verdict on the recipient: a connection, the site or our DNS failed. Counts nothing."""
    INSECURE = "insecure"
    """No host that could be reached fulfils the transport policy, so the mail was not offered."""
    EXPIRED = "expired"
    """The message's time ended."""
    HELD = "held"
    """The site takes no more drains now; its lane waits for a place. Nothing was tried."""
    WAITING = "waiting"
    """No source takes it yet, though others of the lane may go. Nothing was tried."""
    BLOCKED = "blocked"
    """The site refused our address and said nothing of mail or recipient: another source may do, or time. Counts
    nothing."""
    INTERRUPTED = "interrupted"
    """Our own worker stopped, or its claim ended, before everything was sent. Counts nothing."""
    SUPPRESSED = "suppressed"
    """The address is on the suppression list. Nothing was tried."""
    LOST = "lost"
    """Our own worker was lost in the middle; `in_doubt` says whether the receiver may have the mail."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a try came to, and why.

    `category` is None where there was no trouble: the mail was delivered, or its time ended. `text`
    says in one readable line what happened where no reply of the receiver says it. `in_doubt` means
    that the final dot may have been sent and its reply was never seen: the receiver may have the mail
    (RFC 1047). `needs_second_look` means that a bounce is only believed when a later attempt comes to the
    same. `wait` is how long a recipient that is waiting or blocked has to. `is_shared` means that one reply stands
    for several recipients, so that it need not be about this one. `suppression` says why it is suppressed.
    """

    verdict: Verdict
    category: Category | None
    reply: Reply | None
    text: str
    peer: Peer | None
    in_doubt: bool = False
    needs_second_look: bool = False
    wait: timedelta = timedelta(0)
    is_shared: bool = False
    suppression: SuppressionReason | None = None
