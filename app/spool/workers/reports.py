"""Reports that wait to be written, and what they will tell.

Delivery reports (RFC 3464) wait in a lane for each project, TLS reports (RFC 8460) in one for the installation.
Both are claimed and settled like everything that waits (`app.spool.workers.lanes`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from app.ids import DrainId, ProjectId
from app.messages import Message, RecipientState
from app.spool.client import Argument, Redis, Reply
from app.spool.codec import MESSAGE, STATE
from app.spool.replies import as_bytes
from app.spool.scripts import Scripts


@dataclass(frozen=True, slots=True)
class ReportLane:
    """The queue of the delivery reports of one project."""

    project: ProjectId

    @property
    def name(self) -> str:
        """The name that jobs and keys carry."""
        return f"report/{self.project}/delivery"


@dataclass(frozen=True, slots=True)
class Notice:
    """What there is to report: a message, where some of its recipients (by index) stand, and its header.

    `member` names it, and is the same however often it is claimed. Recipients with a copy of their own have
    its header in `own_headers`.
    """

    member: str
    message: Message
    states: Mapping[int, RecipientState]
    header: bytes
    own_headers: Mapping[int, bytes] = field(default_factory=dict)

    def header_for(self, index: int) -> bytes:
        """Return the header of what the recipient at `index` was to get."""
        return self.own_headers.get(index, self.header)


@dataclass(frozen=True, slots=True)
class ReportClaim:
    """One notice that one drain holds."""

    lane: ReportLane
    drain: DrainId
    turn: int
    notice: Notice

    @property
    def member(self) -> str:
        """The name of the notice."""
        return self.notice.member


INSTALLATION = ProjectId("~")
"""Whom messages belong to that no project sent; no project can have this name."""


@dataclass(frozen=True, slots=True)
class TlsLane:
    """The queue of TLS reports: for each day and domain what was counted."""

    @property
    def name(self) -> str:
        """The name that jobs and keys carry."""
        return f"report/{INSTALLATION}/tls"


@dataclass(frozen=True, slots=True)
class TlsClaim:
    """What was counted for one domain on one day, held by one drain: numbers by what they count."""

    lane: TlsLane
    drain: DrainId
    turn: int
    member: str
    counts: Mapping[bytes, int]

    @property
    def day(self) -> date:
        """The day, in UTC."""
        return date.fromisoformat(self.member.split("/")[1])

    @property
    def domain(self) -> str:
        """The recipient domain."""
        return self.member.split("/")[2]


def _pairs(values: Sequence[Reply]) -> dict[bytes, bytes]:
    both = zip(values[::2], values[1::2], strict=True)
    return {as_bytes(name): as_bytes(value) for name, value in both}


def report_lane(project: ProjectId, kind: str) -> ReportLane | TlsLane:
    """Return a lane of reports. Raises ValueError for a kind that there is not."""
    match kind:
        case "delivery":
            return ReportLane(project)
        case "tls":
            return TlsLane()
        case _:
            raise ValueError(f"there are no reports called {kind!r}")


def report_claim(
    lane: ReportLane | TlsLane, drain: DrainId, turn: int, member: str, values: Sequence[Reply]
) -> ReportClaim | TlsClaim:
    """Return the claim of a member, whose names and values these are. Raises Unreadable."""
    found = _pairs(values)
    if isinstance(lane, TlsLane):
        counts = {name: int(times) for name, times in found.items()}
        return TlsClaim(lane, drain, turn, member, counts)
    return ReportClaim(lane, drain, turn, _notice(member, found))


def _notice(member: str, values: Mapping[bytes, bytes]) -> Notice:
    found = {name.decode(): value for name, value in values.items()}
    states = {index: STATE.decode(value) for index, value in _numbered(found, "r")}
    own = dict(_numbered(found, "head"))
    return Notice(member, MESSAGE.decode(found["m"]), states, found["head"], own)


def _numbered(found: Mapping[str, bytes], letter: str) -> Iterator[tuple[int, bytes]]:
    for name, value in found.items():
        number = name.removeprefix(letter)
        if number != name and number:
            yield int(number), value


@dataclass(frozen=True, slots=True)
class TlsCount:
    """Something that happened `times` with a domain on a day. `field` says what; `spare`, one of few, counts
    where a domain has too many fields already. The report is `due` some time after the day."""

    domain: str
    day: date
    due: datetime
    field: bytes
    spare: bytes
    times: int


class TlsLedger:
    """The counts of all workers. All methods raise SpoolError when Redis cannot answer."""

    _MOST_FIELDS = 200
    _MOST_DOMAINS = 100_000
    _LIFE_S = 3 * 86_400

    def __init__(self, redis: Redis, scripts: Scripts) -> None:
        """Use the connections of `redis`."""
        self._redis = redis
        self._scripts = scripts

    async def add(self, counts: Sequence[TlsCount]) -> None:
        """Add to what is counted. A new domain is left out while a hundred thousand reports wait."""
        arguments: list[Argument] = [
            TlsLane().name,
            self._MOST_FIELDS,
            self._MOST_DOMAINS,
            self._LIFE_S,
        ]
        for each in counts:
            member = f"tls/{each.day.isoformat()}/{each.domain}"
            due_ms = round(each.due.timestamp() * 1000)
            arguments += [member, due_ms, each.field, each.spare, each.times]
        await self._redis.run(self._scripts.count_tls, *arguments)
