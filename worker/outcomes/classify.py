"""From a receiver's reply to a verdict and a kind of trouble. Pure; the table is in `rules`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from app.events import Category
from app.mail.reply import Reply
from worker.outcomes.outcome import Verdict
from worker.outcomes.phrases import laid_out
from worker.outcomes.rules import (
    CERTAIN,
    CODES,
    FORESEEN,
    HINTING,
    OVERRULING,
    SIZE,
    SUBJECTS,
    TELLING,
    Words,
)


class Phase(StrEnum):
    """Which command a reply answers."""

    GREETING = "greeting"
    """The connection itself."""
    EHLO = "ehlo"
    """EHLO, HELO, STARTTLS or RSET."""
    MAIL = "mail"
    """MAIL FROM."""
    RCPT = "rcpt"
    """RCPT TO."""
    DATA = "data"
    """DATA, and the message up to its final dot."""
    DOT = "dot"
    """The final dot."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a reply means: the verdict, and the kind of trouble (None when delivered)."""

    verdict: Verdict
    category: Category | None


_DELIVERED = Judgement(Verdict.DELIVERED, None)
_OUT_OF_PLACE = Judgement(Verdict.UNREACHED, Category.PROTOCOL)
_NO_VERDICT = frozenset({Phase.GREETING, Phase.EHLO})
_BEFORE_RCPT = _NO_VERDICT | {Phase.MAIL}
_BEFORE_DATA = _BEFORE_RCPT | {Phase.RCPT}

# qmail and others put the enhanced code into their words: "no such mailbox (#5.1.1)".
_MARKED_CODE = re.compile(r"#([45])\.([0-9]{1,3}\.[0-9]{1,3})(?![0-9.])")


def classify(reply: Reply, phase: Phase) -> Judgement:
    """Judge a reply by the phase it came in.

    2xx is a delivery after the final dot; elsewhere it is out of place, as 3xx is everywhere, and
    means that the other side does not follow the protocol. The basic code decides the verdict
    whatever the enhanced code says (RFC 5321 §4.2).
    """
    if phase is Phase.DOT and reply.code // 100 == 2:
        return _DELIVERED
    if reply.code // 100 not in {4, 5}:
        return _OUT_OF_PLACE
    return Judgement(_verdict(reply.code, phase), _category(reply, phase))


def _verdict(code: int, phase: Phase) -> Verdict:
    # 421 closes the session and says nothing of this mail (RFC 5321 §3.8); what greets with 5xx
    # refuses us, not the recipient (RFC 7504 §4).
    if code == 421 or phase in _NO_VERDICT:
        return Verdict.UNREACHED
    # RFC 5321 §4.5.3.1.10: a 552 to RCPT means "too many recipients", and is temporary.
    if code < 500 or (code == 552 and phase is Phase.RCPT):
        return Verdict.DEFERRED
    return Verdict.BOUNCED


def _category(reply: Reply, phase: Phase) -> Category:
    words = laid_out(reply.text)
    category = _by_table(reply, words)
    # Before RCPT no recipient was named: such a reply speaks of the sender, and must not suppress.
    if category is Category.RECIPIENT and phase in _BEFORE_RCPT:
        return Category.POLICY
    # Who talks of spam before the message came means its sender; its size may have been announced.
    if category is Category.CONTENT and phase in _BEFORE_DATA and not _is_foreseen(reply, words):
        return Category.REPUTATION
    return category


def _is_foreseen(reply: Reply, words: str) -> bool:
    return reply.code == 552 or detail_of(reply).startswith(FORESEEN) or bool(SIZE.search(words))


def _by_table(reply: Reply, words: str) -> Category:
    detail = detail_of(reply)
    return (
        _by_words(OVERRULING, words)
        or CERTAIN.get(detail)
        or _by_words(TELLING, words)
        or SUBJECTS.get(detail.partition(".")[0])
        or _by_words(HINTING, words)
        or CODES.get(reply.code, Category.POLICY)
    )


def detail_of(reply: Reply) -> str:
    """Return the enhanced code without its class, "" where there is none; the basic code has said the class."""
    if reply.enhanced:
        return reply.enhanced.partition(".")[2]
    marked = _MARKED_CODE.search(reply.text)
    return marked.group(2) if marked and int(marked.group(1)) == reply.code // 100 else ""


def _by_words(table: Words, words: str) -> Category | None:
    return next((category for category, phrases in table if phrases.search(words)), None)
