"""How long a whole site should rest because of how it worded a deferral. Pure; a table and its reader.

Most deferrals speak of one mail or one recipient, and the retry schedule is answer enough. Some speak of
all that comes from us: a limit reached, a host overloaded, mistrust. To go on then makes it worse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from app.mail.reply import Reply
from worker.outcomes.phrases import any_of, laid_out

SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(hours=1)
"""However long a receiver says it wants to be left alone: anybody can write a large number."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A pause, and the enhanced codes and phrases that ask for it."""

    pause: timedelta
    phrases: re.Pattern[str]
    codes: frozenset[str] = frozenset()


def _minutes(pause: int, *phrases: str, codes: tuple[str, ...] = ()) -> Rest:
    return Rest(timedelta(minutes=pause), any_of(*phrases), frozenset(codes))


def _microsoft(first: int, last: int) -> tuple[str, ...]:
    return tuple(f"4.7.{detail}" for detail in range(first, last + 1))


NARROW = any_of(
    # Greylisting lets a mail in by its own retry
    "greylist*", "graylist*", "grey list*", "gray list*", "postgrey*", "gl01",
    # One session: a new connection may go on
    "this session", "per session", "in one session", "in a session", "this connection", "per connection",
    "too many * errors", "too many * commands",
    # One sending domain: other customers' mail is welcome
    "spf*", "dkim*", "dmarc*", "unauthenticated*", "url domain*", "your domain", "sending domain",
    "sender domain", "from domain", "aligned", "alignment",
    # One message that was sent in plain text
    "over a tls connection", "without tls",
    # One mail, or one recipient
    "too many * recipients", "recipients per message", "too many hops", "user you are trying",
    "receive limit", "recipient * rate", "mailbox", "inbox", "quota*", "storage",
)  # fmt: skip
"""Deferrals of something smaller than the site, whatever else they say."""

RESTS: tuple[Rest, ...] = (
    # Yahoo gives up on an address for hours
    _minutes(60, "ts02", "ts03", "permanently deferred"),
    # Mistrust, and limits that come from it
    _minutes(
        30,
        "tss*", "ts01", "user complaints", "unexpected volume", "rp 001", "rp 003", "*reputation*",
        "blocked using", "blacklist*", "block list*", "blocklist*", "*spamhaus*", "*dnsbl*", "ip * blocked",
        "rp trc",
        codes=("4.7.650", "4.7.651"),
    ),
    _minutes(
        15,
        "unsolicited*", "unusual rate", "unusual * volume", "suspicious activity", "mail flood*",
        codes=("4.7.28",),
    ),
    # Limits on connections: fewer of them will do, and soon
    _minutes(
        2,
        "too many * connections", "too many sessions", "too many concurrent", "connection limit*",
        "connection rate*", "maximum * connections", "connections * exceeded", "concurrent connections",
        "concurrent sessions", "rp 002",
    ),
    # Limits on mail over time
    _minutes(
        10,
        "throttl*", "rate limit*", "ratelimit*", "rate * exceeded", "exceeded * rate", "exceeded * limit*",
        "sending rate*", "frequency limited", "limit * exceeded", "too much mail", "too many messages",
        "too many mails", "too many emails", "messages per", "slow down", "too fast", "too quickly",
        "rl0000*", "try * less often",
        codes=_microsoft(500, 699) + _microsoft(850, 899),
    ),
    # The receiver has enough to do
    _minutes(
        5,
        "server busy", "too busy", "overload*", "load * too high", "service refused", "system resources",
        "maintenance",
    ),
)  # fmt: skip
"""Pauses with what asks for them; the first that fits counts."""

_STATED = re.compile(
    r" (?:in|after|for|wait|within)(?: at least| about| another)? ([0-9]{1,9}) ?"
    r"(s|m|h)(?:ecs?|econds?|ins?|inutes?|rs?|ours?)? "
)
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
}


def pause_after(reply: Reply) -> timedelta | None:
    """Return how long the whole site should rest after a reply; None if other mail may go on.

    Only a deferral asks for rest: 5xx is said of a mail, or by a host that the site's back-off knows of.
    A time that the receiver states counts more than ours, between SHORTEST and LONGEST.
    """
    if reply.code // 100 != 4:
        return None
    words = laid_out(reply.text)
    if NARROW.search(words):
        return None
    for rest in RESTS:
        if reply.enhanced in rest.codes or rest.phrases.search(words):
            return min(max(_stated(words) or rest.pause, SHORTEST), LONGEST)
    return None


def _stated(words: str) -> timedelta | None:
    stated = _STATED.search(words)
    return int(stated.group(1)) * _UNITS[stated.group(2)] if stated else None
