"""Lanes by name, and claims: the members of a lane that one drain holds, as a worker gets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias

from app.identity.events import Fact
from app.ids import DrainId, EndpointId, MessageId, ProjectId
from app.messages import Message, RecipientState, Stream, Suppression
from app.spool.client import Reply
from app.spool.codec import MESSAGE, STATE, SUPPRESSION, decode_fact
from app.spool.replies import as_bytes, as_int, as_list, as_text
from app.spool.workers.reports import (
    ReportClaim,
    ReportLane,
    TlsClaim,
    TlsLane,
    report_claim,
    report_lane,
)

_UNKNOWN = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MailLane:
    """The queue of one project, stream and recipient domain."""

    project: ProjectId
    stream: Stream
    domain: str

    @property
    def name(self) -> str:
        """The name that jobs and keys carry."""
        return f"mail/{self.project}/{self.stream}/{self.domain}"


@dataclass(frozen=True, slots=True)
class EndpointLane:
    """The queue of one endpoint."""

    project: ProjectId
    endpoint: EndpointId

    @property
    def name(self) -> str:
        """The name that jobs and keys carry."""
        return f"endpoint/{self.project}/{self.endpoint}"


Lane: TypeAlias = MailLane | EndpointLane | ReportLane | TlsLane


def parse_lane(name: str) -> Lane:
    """Return the lane of that name; raises ValueError for what is no lane's name."""
    match name.split("/"):
        case ["mail", project, stream, domain]:
            return MailLane(ProjectId(project), Stream(stream), domain)
        case ["endpoint", project, endpoint]:
            return EndpointLane(ProjectId(project), EndpointId(endpoint))
        case ["report", project, kind]:
            return report_lane(ProjectId(project), kind)
        case _:
            raise ValueError(f"{name!r} is not the name of a lane")


@dataclass(frozen=True, slots=True)
class MailClaim:
    """Recipients of one message that get the same bytes, held by one drain; `indexes` and `states` go together.

    `failures` counts how often in a row no host of the lane could be reached. A claim that was taken
    over comes without the bytes; `doubted` are those of its indexes whose final dot may have been sent, where
    the message asks to write that down. `claimed_at` is when, by Redis' clock. `suppressions` says of each that
    is suppressed why, by its index. One that `is_incomplete` lacks a part that it shared.
    """

    lane: MailLane
    drain: DrainId
    turn: int
    failures: int
    indexes: tuple[int, ...]
    message: Message
    raw: bytes
    states: tuple[RecipientState, ...]
    doubted: frozenset[int] = frozenset()
    is_incomplete: bool = False
    claimed_at: datetime = field(default=_UNKNOWN, compare=False)
    suppressions: Mapping[int, Suppression] = field(default_factory=dict)

    def part(self, places: Sequence[int]) -> MailClaim:
        """Return the claim as if only the recipients at these places of it were held."""
        return replace(
            self,
            indexes=tuple(self.indexes[place] for place in places),
            states=tuple(self.states[place] for place in places),
        )

    def is_overdue(self, now: datetime) -> bool:
        """Tell whether the message's time has ended, by our clock and by that of Redis: one may be wrong.

        It has where a part of the message is gone: parts outlive the time of each that shares them.
        """
        return self.is_incomplete or min(now, self.claimed_at) >= self.message.expires_at


@dataclass(frozen=True, slots=True)
class Parcel:
    """One event on its way to one endpoint, and how often it was tried."""

    member: str
    sequence: int
    tries: int
    record: Fact


@dataclass(frozen=True, slots=True)
class ParcelClaim:
    """Parcels of one endpoint that one drain holds; `failures` counts its failures in a row."""

    lane: EndpointLane
    drain: DrainId
    turn: int
    failures: int
    parcels: tuple[Parcel, ...]


Claim: TypeAlias = MailClaim | ParcelClaim | ReportClaim | TlsClaim


def member_name(message: MessageId, index: int) -> str:
    """Return the name of a recipient in its lane."""
    return f"{message}/{index}"


def read_claim(lane: Lane, drain: DrainId, reply: Reply) -> Claim | None:
    """Return the claim that an atomic step answered; None where it gave none."""
    if reply is None:
        return None
    turn, members, values, failures, claimed_at = as_list(reply)
    names = tuple(as_text(name) for name in as_list(members))
    if isinstance(lane, ReportLane | TlsLane):
        return report_claim(lane, drain, as_int(turn), names[0], as_list(values))
    if isinstance(lane, EndpointLane):
        parcels = (
            _parcel(name, value)
            for name, value in zip(names, as_list(values), strict=True)
            if value
        )
        return ParcelClaim(lane, drain, as_int(turn), as_int(failures), tuple(parcels))
    message, raw, *rest = as_list(values)
    indexes = tuple(_index(name) for name in names)
    states, suppressions = rest[: len(indexes)], rest[len(indexes) :]
    return MailClaim(
        lane=lane,
        drain=drain,
        turn=as_int(turn),
        failures=as_int(failures),
        indexes=indexes,
        message=MESSAGE.decode(as_bytes(message)),
        raw=as_bytes(raw),
        is_incomplete=not raw,
        states=tuple(STATE.decode(as_bytes(state)) for state in states),
        claimed_at=datetime.fromtimestamp(as_int(claimed_at) / 1000, UTC),
        suppressions={
            index: SUPPRESSION.decode(as_bytes(record))
            for index, record in zip(indexes, suppressions, strict=True)
            if record
        },
    )


def with_doubt(claim: Claim | None, doubted: str) -> Claim | None:
    """Return a claim with what its lost holder wrote down before the final dot."""
    if not isinstance(claim, MailClaim):
        return claim
    return replace(claim, doubted=frozenset(_index(member) for member in doubted.split()))


def _index(member: str) -> int:
    return int(member.rpartition("/")[2])


def _parcel(member: str, value: Reply) -> Parcel:
    sequence, tries, record = as_bytes(value).split(b" ", 2)
    return Parcel(member, int(sequence), int(tries), decode_fact(record))
