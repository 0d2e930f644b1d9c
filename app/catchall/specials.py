"""Addresses that the mailbox answers in their own way, so that every outcome can be seen."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Special(StrEnum):
    """The special local parts, at any domain; `deferred+2@…` is one more address of its kind."""

    BOUNCED = "bounced"
    """There is no such mailbox: 550 5.1.1."""
    DEFERRED = "deferred"
    """Try again later, as greylisting says it: 451 4.7.1, and 250 on the next try."""
    FULL = "full"
    """The mailbox is full: 554 5.2.2."""
    SPAM = "spam"
    """The content is refused after the final dot: 554 5.7.1, for all recipients of the mail."""
    SLOW = "slow"
    """Taken, but only after five seconds."""
    UNKNOWN = "unknown"
    """Taken, but the connection breaks before the answer; the second time it comes it is answered."""


MEANINGS: Mapping[Special, str] = MappingProxyType(
    {
        Special.BOUNCED: "refused for good: no such mailbox (550 5.1.1)",
        Special.DEFERRED: "asked to come back (451 4.7.1), taken on the next try",
        Special.FULL: "refused for good: mailbox full (554 5.2.2)",
        Special.SPAM: "refused after the content was sent (554 5.7.1)",
        Special.SLOW: "taken after five seconds",
        Special.UNKNOWN: "taken, but the answer is lost; sent again unless on_unknown is hold",
    }
)
"""What happens to a mail for each, in words for the page and the terminal."""


def special_of(address: str) -> Special | None:
    """Return what is special about an address, if anything; what follows a `+` does not count."""
    local = address.rpartition("@")[0].partition("+")[0].lower()
    return next((special for special in Special if special == local), None)
