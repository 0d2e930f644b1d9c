"""Reports that wait to be written: what a delivery report (RFC 3464) will tell, until it is a message itself.

They wait in a lane for each project, and are claimed and settled like everything that waits (`app.spool.lanes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.ids import DrainId, ProjectId
from app.messages import Message, RecipientState
from app.spool.client import Reply
from app.spool.codec import MESSAGE, STATE
from app.spool.replies import as_bytes, as_text


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

    `member` names it, and is the same however often it is claimed.
    """

    member: str
    message: Message
    states: Mapping[int, RecipientState]
    header: bytes


@dataclass(frozen=True, slots=True)
class ReportClaim:
    """One notice that one drain holds."""

    lane: ReportLane
    drain: DrainId
    turn: int
    notice: Notice


def report_lane(project: ProjectId, kind: str) -> ReportLane:
    """Return a lane of reports. Raises ValueError for a kind that there is not."""
    if kind != "delivery":
        raise ValueError(f"there are no reports called {kind!r}")
    return ReportLane(project)


def report_claim(
    lane: ReportLane, drain: DrainId, turn: int, member: str, values: Sequence[Reply]
) -> ReportClaim:
    """Return the claim of a member, whose names and values these are. Raises Unreadable."""
    return ReportClaim(lane, drain, turn, _notice(member, values))


def _notice(member: str, values: Sequence[Reply]) -> Notice:
    found = {
        as_text(name): as_bytes(value)
        for name, value in zip(values[::2], values[1::2], strict=True)
    }
    states = {int(name[1:]): STATE.decode(value) for name, value in found.items() if name[0] == "r"}
    return Notice(member, MESSAGE.decode(found["m"]), states, found["head"])
