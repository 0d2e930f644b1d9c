"""From a receiver's reply to a verdict and a kind of trouble. Pure; the table is in `rules`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.events import Category
from app.mail.reply import Reply
from worker.outcomes.outcome import Verdict
from worker.outcomes.rules import CERTAIN, CODES, OVERRULING, SUBJECTS, TELLING, Words


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
_NO_VERDICT = frozenset({Phase.GREETING, Phase.EHLO})


def classify(reply: Reply, phase: Phase) -> Judgement:
    """Judge a reply by the phase it came in.

    2xx is a delivery after the final dot; elsewhere it is out of place, as 3xx is everywhere, and
    means that the other side does not follow the protocol. The basic code decides the verdict
    whatever the enhanced code says (RFC 5321 §4.2).
    """
    if phase is Phase.DOT and reply.code // 100 == 2:
        return _DELIVERED
    if reply.code < 400:
        return Judgement(Verdict.UNREACHED, Category.PROTOCOL)
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
    category = _by_table(reply, reply.text.lower())
    # Before RCPT no recipient was named: such a reply speaks of the sender, and must not suppress.
    if category is Category.RECIPIENT and phase not in {Phase.RCPT, Phase.DATA, Phase.DOT}:
        return Category.POLICY
    return category


def _by_table(reply: Reply, text: str) -> Category:
    detail = reply.enhanced.partition(".")[2] if reply.enhanced else ""
    return (
        _by_words(OVERRULING, text)
        or CERTAIN.get(detail)
        or _by_words(TELLING, text)
        or SUBJECTS.get(detail.partition(".")[0])
        or CODES.get(reply.code, Category.POLICY)
    )


def _by_words(table: Words, text: str) -> Category | None:
    return next((category for category, words in table if words.search(text)), None)
