"""How long a whole site, or our source there, should rest because of how it worded a refusal. Pure; a table and
its reader.

Most deferrals speak of one mail or one recipient, and the retry schedule is answer enough. Some speak of
all that comes from us: a limit reached, a host overloaded, mistrust. To go on then makes it worse.

Where mail leaves from several sources, all but the receiver's own load is said of the source, and the others
may go on. A receiver that refuses the address itself says nothing of the mail at all: another source may carry it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from app.events import Category
from app.mail.reply import Reply
from worker.outcomes.classify import detail_of
from worker.outcomes.outcome import Outcome, Verdict
from worker.outcomes.phrases import any_of, laid_out

SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(hours=1)
"""However long a receiver says it wants to be left alone: anybody can write a large number."""
UNWELCOME = timedelta(hours=1)
UNSURE = timedelta(minutes=5)
"""How long an address rests that was refused for good, or for now, by a receiver that states no time."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A pause, and the enhanced codes and phrases that ask for it."""

    pause: timedelta
    phrases: re.Pattern[str]
    codes: frozenset[str] = frozenset()
    is_load: bool = False
    """Whether it is the receiver who has too much to do, whatever source asks."""


def _minutes(pause: int, *phrases: str, codes: tuple[str, ...] = (), is_load: bool = False) -> Rest:
    return Rest(timedelta(minutes=pause), any_of(*phrases), frozenset(codes), is_load)


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
        is_load=True,
    ),
)  # fmt: skip
"""Pauses with what asks for them; the first that fits counts."""

_SESSIONS = frozenset({Verdict.UNREACHED, Verdict.BLOCKED})
_OF_ADDRESSES = frozenset({Category.REPUTATION, Category.AUTHENTICATION})

ADDRESS = any_of(
    # It is on a list, or blocked
    "client host * blocked", "client * blocked using", "host * blocked by", "server * is blocked",
    "ip * is blocked", "ip * been blocked", "ip blocked", "ip address * blocked", "ips * blocked",
    "blocked ip", "block * against your ip", "ip * in * list", "ip in blacklist", "ip * is in *spamhaus*",
    "ip address is block listed", "network is on our block list", "banned sending ip", "banned ip",
    "ip * is banned", "ip * been banned", "ip * is rejected", "ip not allowed", "ip * blacklist*",
    "is in a black list", "is in an rbl", "listed at *dnsbl*",
    "network not allowed", "from this ip", "dynamic ip*", "dynamic address*", "dynamic host*",
    # It is mistrusted
    "reputation of the sending ip*", "ip * reputation", "your ip *reputation*", "sending ip * reputation",
    "originating from your ip*", "sending mta*",
    # Its name is missing or wrong
    "reverse dns*", "rdns*", "fcrdns", "ptr*", "reverse lookup", "reverse name", "reverse mapping",
    "reverse hostname", "reverse host name", "reverse record", "no reverse", "find your hostname",
    "find your reverse", "bad helo", "invalid helo", "helo name", "ehlo name", "helo * rejected",
    "helo * invalid",
)  # fmt: skip
"""Refusals of the address that we came from, whatever the mail."""

ADDRESS_CODES = frozenset({"7.25", "7.708", *(f"7.{detail}" for detail in range(606, 650))})
"""Enhanced codes, without their class, that say the same: RFC 7372 §3, and Microsoft's."""

OF_A_DOMAIN = any_of(
    "*domain*", "spf*", "dkim*", "dmarc*", "*dbl.*", "*rhsbl*", "*surbl*", "*uribl*", "url*",
    "sender address", "mailfrom*", "ip domain reputation", "content or",
)  # fmt: skip
"""What speaks of a name in the mail, which goes along to any source."""

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
    rest = _rest(reply)
    return _bounded(_stated(reply) or rest.pause) if rest else None


def source_pause_after(outcome: Outcome) -> timedelta | None:
    """Return how long the source that met this outcome should rest at its site; None if others may fare no better.

    Else as `pause_after`; an address that is refused as such rests for UNWELCOME or, if only for now, UNSURE.
    """
    if outcome.reply is None:
        return None
    rest = _rest(outcome.reply)
    if rest is None and refuses_address(outcome):
        usual = UNWELCOME if outcome.reply.code // 100 == 5 else UNSURE
        return _bounded(_stated(outcome.reply) or usual)
    return pause_after(outcome.reply) if rest and not rest.is_load else None


def refuses_address(outcome: Outcome) -> bool:
    """Tell whether a receiver refused the address that we came from, and so said nothing of mail or recipient."""
    reply = outcome.reply
    if reply is None or reply.code // 100 not in {4, 5} or outcome.category not in _OF_ADDRESSES:
        return False
    if outcome.verdict in _SESSIONS and reply.code // 100 == 5:
        return True  # who refuses a session knows nothing but the address, and the name in EHLO
    words = laid_out(reply.text)
    is_said = detail_of(reply) in ADDRESS_CODES or ADDRESS.search(words)
    return bool(is_said) and not OF_A_DOMAIN.search(words)


def _rest(reply: Reply) -> Rest | None:
    words = laid_out(reply.text)
    if reply.code // 100 != 4 or NARROW.search(words):
        return None
    return next(
        (each for each in RESTS if reply.enhanced in each.codes or each.phrases.search(words)),
        None,
    )


def _bounded(pause: timedelta) -> timedelta:
    return min(max(pause, SHORTEST), LONGEST)


def _stated(reply: Reply) -> timedelta | None:
    stated = _STATED.search(laid_out(reply.text))
    return int(stated.group(1)) * _UNITS[stated.group(2)] if stated else None
