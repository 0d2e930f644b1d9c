"""Lanes and drains: who works on what, and until when. One mechanism for mail and for endpoints.

A drain takes its place in a lane by a lease, claims some members, settles them and claims the next ones
in the same atomic step. A drain whose lease ends is taken over under a new name; what its old holder
says afterwards is refused (`Fenced`), so one claim has one sender.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from app.events import AttemptRecord, EventRecord
from app.ids import DrainId
from app.messages import Message, RecipientState, Suppression
from app.spool.client import Argument, Redis, Reply
from app.spool.codec import ATTEMPT, EVENT, MESSAGE, STATE, SUPPRESSION, Unreadable, encode_fact
from app.spool.replies import as_bytes, as_int, as_list, as_text
from app.spool.scripts import Scripts
from app.spool.workers.claims import (
    Claim,
    Lane,
    MailClaim,
    MailLane,
    ParcelClaim,
    member_name,
    parse_lane,
    read_claim,
    with_doubt,
)
from app.spool.workers.reports import ReportClaim, TlsClaim

_log = structlog.get_logger(__name__)

MOST_WAITING = 2_000
"""Lanes that may wait in arq before the clock rings for no more."""


@dataclass(frozen=True, slots=True)
class Site:
    """A receiving system, known by its exchangers, and how many drains may work on it at a time.

    The window starts at `first_window` and may grow to `window`; a site that cannot be reached so often
    in a row as its window is wide rests for `rest`. `interval` is the time between two mails that its
    rate allows in the long run, None where it has no rate.
    """

    name: str
    first_window: int
    window: int
    rest: timedelta
    interval: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Entered:
    """The answer of a site: zero, or how long the lane has to wait for a place, and the lanes to ring for."""

    wait: timedelta
    wakes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a recipient: its state, its wait (None: no more tries), the fact and the state to report.

    `suppression` puts its address on the list, where the message is one that lists hold for.
    """

    state: RecipientState
    wait: timedelta | None
    event: EventRecord | None
    reported: RecipientState | None = None
    suppression: Suppression | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """What a drain says at the end of a claim, beside what became of each member.

    `lane_wait` lets the whole lane rest; zero says that it is as good as new, None says nothing.
    `go_on` asks for the next claim; otherwise the drain ends. `site_worked` tells whether the site could
    be reached, None where that is not known; `site_rest` lets the whole site rest.
    """

    go_on: bool
    lane_wait: timedelta | None = None
    attempt: AttemptRecord | None = None
    site_worked: bool | None = None
    site_rest: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """The answer to a settlement: the next claim if the drain goes on, and the lanes to ring for."""

    next_claim: Claim | None
    wakes: tuple[str, ...]


class Fenced(Exception):
    """The claim is no longer this drain's: its lease ended and another took it over. Nobody's fault."""


class Lanes:
    """The atomic steps on lanes. All methods raise SpoolError when Redis cannot answer."""

    def __init__(self, redis: Redis, scripts: Scripts, retention: timedelta) -> None:
        """`retention` is how long a finished message is kept."""
        self._redis = redis
        self._scripts = scripts
        self._retention_s = round(retention.total_seconds())

    async def begin(self, lane: Lane, drain: DrainId) -> Claim | None:
        """Take a place in the lane and the first claim; None where no drain is needed. May be repeated."""
        return read_claim(lane, drain, await self._redis.run(self._scripts.begin, lane.name, drain))

    async def enter(self, claim: MailClaim, site: Site) -> Entered:
        """Ask for a place at the site that a claim goes to; the drain keeps it to its end. May be repeated.

        Raises Fenced.
        """
        rest = round(site.rest.total_seconds() * 1000)
        reply = await self._redis.run(
            self._scripts.enter,
            claim.lane.name,
            claim.drain,
            site.name,
            site.first_window,
            site.window,
            rest,
            "" if site.interval is None else site.interval / timedelta(milliseconds=1),
        )
        match as_list(reply):
            case [int(wait), wakes]:
                return Entered(timedelta(milliseconds=wait), _names(wakes))
            case _:
                raise Fenced(claim.drain)

    async def doubt(self, claim: MailClaim, indexes: Sequence[int]) -> bool:
        """Write down that the final dot is about to be sent for these of the claim's recipients.

        Tells whether the claim is still this drain's. May be repeated, with more of them.
        """
        members = " ".join(member_name(claim.message.id, index) for index in indexes)
        noted = await self._redis.run(self._scripts.doubt, claim.drain, claim.turn, members)
        return as_int(noted) == 1

    async def settle(
        self, claim: MailClaim, settlements: Sequence[Settlement], closing: Closing
    ) -> Settled:
        """Store what became of each recipient of a claim, tell it, and claim the next or end the drain.

        May be repeated when the answer was lost. Raises Fenced.
        """
        arguments: list[Argument] = [
            *_opening(claim, closing),
            ATTEMPT.encode(closing.attempt) if closing.attempt else b"",
            self._retention_s,
            round(claim.message.expires_at.timestamp() * 1000),
            "" if closing.site_worked is None else int(closing.site_worked),
            _milliseconds(closing.site_rest),
            f"raw{claim.indexes[0]}" if claim.message.is_merged else "raw",
        ]
        for index, settlement in zip(claim.indexes, settlements, strict=True):
            event = settlement.event
            arguments += [
                member_name(claim.message.id, index),
                STATE.encode(settlement.state),
                _milliseconds(settlement.wait),
                event.type if event and not claim.message.reports_on else "",
                EVENT.encode(event) if event else b"",
                STATE.encode(settlement.reported) if settlement.reported else b"",
                SUPPRESSION.encode(settlement.suppression) if settlement.suppression else b"",
            ]
        return _settled(claim, await self._redis.run(self._scripts.settle, *arguments))

    async def settle_parcels(
        self, claim: ParcelClaim, waits: Sequence[timedelta | None], closing: Closing
    ) -> Settled:
        """Store when each parcel is tried again (None: it is done with); else as `settle`."""
        arguments: list[Argument] = [*_opening(claim, closing)]
        for parcel, wait in zip(claim.parcels, waits, strict=True):
            value = b"%d %d %b" % (parcel.sequence, parcel.tries + 1, encode_fact(parcel.record))
            arguments += [parcel.member, _milliseconds(wait), value]
        return _settled(claim, await self._redis.run(self._scripts.settle_parcels, *arguments))

    async def settle_report(
        self, claim: ReportClaim | TlsClaim, wait: timedelta | None, closing: Closing
    ) -> Settled:
        """Store when a report is tried again (None: it is done with); else as `settle`."""
        arguments = [*_opening(claim, closing), claim.member, _milliseconds(wait)]
        return _settled(claim, await self._redis.run(self._scripts.settle_report, *arguments))

    async def renew(self, drains: Sequence[DrainId]) -> frozenset[DrainId]:
        """Prolong the leases of `drains`; return those that are lost."""
        lost = await self._redis.run(self._scripts.renew, *drains) if drains else []
        return frozenset(DrainId(as_text(drain)) for drain in as_list(lost))

    async def take_over(self, drains: Sequence[DrainId]) -> tuple[Claim, ...]:
        """Take over claims whose lease has ended, each under one of the new names `drains`."""
        claims = []
        for item in as_list(await self._redis.run(self._scripts.takeover, *drains)):
            lane, drain, held, doubted = as_list(item)
            try:
                claim = read_claim(parse_lane(as_text(lane)), DrainId(as_text(drain)), held)
                claim = with_doubt(claim, as_text(doubted))
            except Unreadable as error:
                # Its new lease ends too, and perhaps a newer worker is the next to take it over.
                _log.error("claim_unreadable", lane=as_text(lane), error=str(error))
                continue
            claims += [claim] if claim else []
        return tuple(claims)

    async def tick(self) -> bool:
        """Tell whether the clock's duties are to be done now, and by whoever asks."""
        return as_int(await self._redis.run(self._scripts.tick)) == 1

    async def wake(
        self, most: int, most_waiting: int | None = MOST_WAITING
    ) -> tuple[tuple[str, ...], int]:
        """Look after sites and reserve drains for due lanes, until `most_waiting` lanes would wait in arq (None:
        however many do).

        `most` of each are looked at. Returns the lanes whose alarm should ring, and how many sites or lanes
        were looked at, whichever are more.
        """
        room = "" if most_waiting is None else most_waiting
        wakes, looked_at = as_list(await self._redis.run(self._scripts.wake, most, room))
        return _names(wakes), as_int(looked_at)

    async def overdue(self, most: int) -> tuple[Message, ...]:
        """Return open messages whose time has ended; those that cannot be read are left alone."""
        found = as_list(await self._redis.run(self._scripts.overdue, most))
        return tuple(filter(None, map(_message, found)))

    async def hasten(self, message: Message) -> tuple[str, ...]:
        """Move the waiting recipients of a message to the head of their lanes; return the lanes to wake."""
        arguments: list[Argument] = []
        for index, recipient in enumerate(message.recipients):
            lane = MailLane(message.project, message.stream, recipient.domain)
            arguments += [lane.name, member_name(message.id, index)]
        return _names(await self._redis.run(self._scripts.hasten, *arguments))


def _message(stored: Reply) -> Message | None:
    try:
        return MESSAGE.decode(as_bytes(stored))
    except Unreadable as error:
        _log.error("message_unreadable", error=str(error))
        return None


def _milliseconds(wait: timedelta | None) -> str:
    return "" if wait is None else str(round(wait.total_seconds() * 1000))


def _opening(claim: Claim, closing: Closing) -> list[Argument]:
    wait = _milliseconds(closing.lane_wait)
    return [claim.lane.name, claim.drain, claim.turn, int(closing.go_on), wait]


def _names(reply: Reply) -> tuple[str, ...]:
    return tuple(as_text(name) for name in as_list(reply))


def _settled(claim: Claim, reply: Reply) -> Settled:
    match as_list(reply):
        case [b"settled", wakes, held]:
            return Settled(read_claim(claim.lane, claim.drain, held), _names(wakes))
        case _:
            raise Fenced(claim.drain)
