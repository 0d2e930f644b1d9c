"""What was found of a record in the DNS, and what is to be said of it.

The worker asks (`worker.identity`) and brings `Seen`; `finding` compares, and says in a sentence what is wrong
and in `value` the exact value that is wanted. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from app.identity import judging
from app.identity.judging import Judgement, State
from app.identity.records import Purpose, Record

_MOST_SHOWN = 5
_LONGEST_SHOWN = 600
_LONGEST_DETAIL = 1200
_LONGEST_MERGED = 2000
_MOST_SERVERS = 4


@dataclass(frozen=True, slots=True)
class Answered:
    """What one name server has: the values of a name, of one type, behind any aliases."""

    server: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A name server that could not be asked, or did not answer for this zone."""

    server: str
    reason: str


Sighting = Answered | Unanswered


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What stands at another name than the one that was looked at."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What all name servers say of one record.

    `doubled` is what stands where the domain is appended once more, as many a form does by itself; `inherited`
    is a DMARC record of a domain above. Both are only looked for where the record itself is missing.
    """

    sightings: tuple[Sighting, ...]
    doubled: Elsewhere | None = None
    inherited: Elsewhere | None = None


class FindingState(StrEnum):
    """What is to be said of a record."""

    OK = "ok"
    """It is as it should be, or does as well."""
    MISSING = "missing"
    """There is none."""
    WRONG = "wrong"
    """There is one, and it does not do."""
    SEVERAL = "several"
    """There are several where one may be."""
    SPLIT = "split"
    """The name servers of the domain disagree."""
    UNREACHABLE = "unreachable"
    """None of them could be asked; asking later may help."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result for one record. `found` are the values there are, `value` the one that is wanted.

    `detail` says what is wrong, or, of a record that is ok, what could be better; it may be empty.
    """

    record: Record
    state: FindingState
    found: tuple[str, ...]
    detail: str
    value: str

    @property
    def is_trouble(self) -> bool:
        """Tell whether a required record is known not to do."""
        return self.record.is_required and self.state not in {
            FindingState.OK,
            FindingState.UNREACHABLE,
        }


def finding(record: Record, seen: Seen) -> Finding:
    """Return what is to be said of a record, in some hundred characters whatever stands in the DNS."""
    found = _compared(record, seen)
    # A record to merge that no form and no datagram has room for is no help: ours alone says what is wanted.
    value = found.value if len(found.value) <= _LONGEST_MERGED else record.value
    detail = found.detail
    if len(detail) > _LONGEST_DETAIL:
        detail = detail[:_LONGEST_DETAIL] + " …"
    return replace(found, detail=detail, value=value)


def _compared(record: Record, seen: Seen) -> Finding:
    answered = tuple(each for each in seen.sightings if isinstance(each, Answered))
    silent = tuple(each for each in seen.sightings if isinstance(each, Unanswered))
    found = _shown(answered)
    if not answered:
        detail = f"no name server of the domain could be asked: {_reasons(silent)}"
        return Finding(record, FindingState.UNREACHABLE, (), detail, record.value)
    judged = {each.server: _judged(record, each.values, seen) for each in answered}
    worst = next((each for each in judged.values() if each.state is not State.OK), None)
    if worst is None:
        first = next(iter(judged.values()))
        return Finding(
            record, FindingState.OK, found, _with_silent(first.detail, silent), first.value
        )
    if any(each.state is State.OK for each in judged.values()):
        return Finding(record, FindingState.SPLIT, found, _split(judged), record.value)
    return Finding(
        record,
        FindingState(worst.state.value),
        found,
        _with_silent(worst.detail, silent),
        worst.value,
    )


def is_missing(seen: Sequence[Sighting], record: Record) -> bool:
    """Tell whether it is worth looking for the record elsewhere: some server answers, and none has it."""
    answered = [each for each in seen if isinstance(each, Answered)]
    return bool(answered) and all(
        _judge(record, each.values).state is State.MISSING for each in answered
    )


def _judged(record: Record, values: Sequence[str], seen: Seen) -> Judgement:
    judgement = _judge(record, values)
    if judgement.state is not State.MISSING:
        return judgement
    if seen.inherited:
        inherited = judging.dmarc(seen.inherited.values, record.value)
        if inherited.state is State.OK:
            text = f"the record of {seen.inherited.name} holds for this domain too"
            return Judgement(State.OK, _joined(text, inherited.detail), record.value)
    if seen.doubled and seen.doubled.values:
        return Judgement(
            State.WRONG,
            f"it stands at {seen.doubled.name}: the form where you entered it appends the domain by itself, "
            f"so enter the name without it: {_short_name(record.name, seen.doubled.name)}",
            record.value,
        )
    return judgement


def _judge(record: Record, values: Sequence[str]) -> Judgement:
    match record.purpose:
        case Purpose.DKIM:
            return judging.dkim(values, record.value)
        case Purpose.RETURN_PATH | Purpose.SPF:
            return judging.spf(values, record.value)
        case Purpose.RETURN_PATH_MX:
            return judging.exchanger(values, record.value)
        case Purpose.DMARC:
            return judging.dmarc(values, record.value)
        case _:
            assert_never(record.purpose)


def _short_name(name: str, doubled: str) -> str:
    zone = doubled.removeprefix(f"{name}.")
    return name.removesuffix(f".{zone}") if name != zone else "@"


def _split(judged: dict[str, Judgement]) -> str:
    right = [server for server, each in judged.items() if each.state is State.OK]
    wrong = {server: each for server, each in judged.items() if each.state is not State.OK}
    first = next(iter(wrong.values()))
    return (
        f"the name servers disagree: {_some(right)} {_has(right)} it, {_some(wrong)} {_has(wrong)} not "
        f"({first.detail}): wait until they have the same zone, or remove those that are no longer kept up"
    )


def _has(servers: Sequence[str] | dict[str, Judgement]) -> str:
    return "has" if len(servers) == 1 else "have"


def _some(names: Sequence[str] | dict[str, Judgement]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _MOST_SERVERS} more" if len(listed) > _MOST_SERVERS else ""
    return ", ".join(listed[:_MOST_SERVERS]) + more


def _with_silent(detail: str, silent: Sequence[Unanswered]) -> str:
    """Add which servers did not answer: others ask them too, and may get no answer."""
    return _joined(detail, f"not answered by {_reasons(silent)}" if silent else "")


def _joined(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def _reasons(silent: Sequence[Unanswered]) -> str:
    named = [f"{each.server} ({each.reason})" for each in silent[:_MOST_SERVERS]]
    return ", ".join(named) or "it has none"


def _shown(answered: Sequence[Answered]) -> tuple[str, ...]:
    values = dict.fromkeys(value for each in answered for value in each.values)
    return tuple(value[:_LONGEST_SHOWN] for value in list(values)[:_MOST_SHOWN])
