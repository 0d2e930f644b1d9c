"""What delivery reports tell, and what they must not.

A recipient in Bcc, or with a copy of its own, is told of in a report of its own, and never to another recipient.
That the reports go to whom the sender of the request named is not enough: `report_to` may be one of the
recipients itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.messages import Field, Message, RecipientState, Status
from app.spool.workers.claims import MailClaim
from app.spool.workers.lanes import Settlement
from app.spool.workers.reports import Notice

FAILED = frozenset({Status.BOUNCED, Status.EXPIRED, Status.UNKNOWN, Status.SUPPRESSED})
"""Where a recipient ends that will not get the message, as far as anybody knows."""
_OPEN = frozenset({Status.QUEUED, Status.DEFERRED})


@dataclass(frozen=True, slots=True)
class Subject:
    """What one report is about: recipients that may stand in one report, by index. `key` names it for ever."""

    key: str
    states: Mapping[int, RecipientState]


def with_reports(claim: MailClaim, settlements: Sequence[Settlement]) -> tuple[Settlement, ...]:
    """Return the settlements with what is to be reported of those that failed, where the message asks for it."""
    if not claim.message.is_reported:
        return tuple(settlements)
    both = zip(claim.states, settlements, strict=True)
    return tuple(
        replace(settlement, reported=_as_heard(before, settlement.state))
        if settlement.event and settlement.state.status in FAILED
        else settlement
        for before, settlement in both
    )


def _as_heard(before: RecipientState, state: RecipientState) -> RecipientState:
    """Return `state` with what the receiver last said: that the time ended says nothing of the cause."""
    is_silent = state.last is None or state.last.reply is None
    if state.status is Status.EXPIRED and is_silent and before.last and before.last.reply:
        return replace(state, last=before.last)
    return state


def subjects(notice: Notice) -> tuple[Subject, ...]:
    """Return the reports to write: one on all recipients that everybody sees, and one on each that is hidden."""
    message = notice.message
    wanted = FAILED if _tells_failures(notice) else _OPEN
    told = {index: state for index, state in notice.states.items() if state.status in wanted}
    hidden = [index for index in told if _is_hidden(message, index)]
    seen = {index: state for index, state in told.items() if index not in hidden}
    found = [Subject(notice.member, seen)] if seen else []
    found += [
        Subject(f"{notice.member}/{index}", {index: told[index]})
        for index in hidden
        if _may_learn_of(message, index)
    ]
    return tuple(found) if message.is_reported else ()


def _tells_failures(notice: Notice) -> bool:
    return not notice.member.endswith("/late")


def _is_hidden(message: Message, index: int) -> bool:
    """Tell whether the other recipients do not see this one."""
    return message.is_merged or message.recipients[index].field is Field.BCC


def _may_learn_of(message: Message, hidden: int) -> bool:
    """Tell whether `report_to` may learn of a hidden recipient: the author may, and no other recipient."""
    reader = (message.report_to or "").casefold()
    others = [other.address for index, other in enumerate(message.recipients) if index != hidden]
    return reader == message.mail_from.casefold() or reader not in map(str.casefold, others)


def unspeakable(message: Message, subject: Subject) -> tuple[str, ...]:
    """Return the addresses that must not stand in a report on `subject`, not even where a receiver quotes them."""
    return tuple(
        recipient.address
        for index, recipient in enumerate(message.recipients)
        if _is_hidden(message, index) and index not in subject.states
    )
