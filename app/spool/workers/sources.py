"""What all workers know of the sources: which of them rest where, and how many recipients they had today."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from app.spool.client import Argument, Redis
from app.spool.replies import as_list
from app.spool.scripts import Scripts
from app.spool.workers.claims import MailLane

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source that may be chosen. `first_day` and `ceilings` are its warm-up: at each site so many recipients
    on that day, the next one and so on; None and empty for a source that is warm."""

    name: str
    first_day: date | None = None
    ceilings: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """Recipients of one lane that want a source for a site: how many, and which they were given before."""

    lane: MailLane
    site: str
    recipients: int
    kept: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The source, and how many of the recipients it takes: one at least."""

    source: str
    recipients: int


@dataclass(frozen=True, slots=True)
class NoneFree:
    """No source takes any of the recipients before `wait` has passed.

    `all_rest` tells that every source rests at the site, so that the whole lane waits; otherwise some are
    at their ceiling, and would still take recipients that they had before.
    """

    wait: timedelta
    all_rest: bool


@dataclass(frozen=True, slots=True)
class SourceRest:
    """How long a source is to rest at a site, from now on."""

    site: str
    source: str
    length: timedelta


class SourceBook:
    """The atomic steps on sources. All methods raise SpoolError when Redis cannot answer."""

    def __init__(self, redis: Redis, scripts: Scripts) -> None:
        """Use the connections of `redis`."""
        self._redis = redis
        self._scripts = scripts

    async def choose(self, asked: Asked, candidates: Sequence[Candidate]) -> Chosen | NoneFree:
        """Give recipients the first of `candidates` (one at least) that does not rest and has room for any.

        They count against its ceiling, even if they are never tried: repeated after a lost answer, they
        count twice.
        """
        arguments: list[Argument] = [
            asked.lane.name,
            asked.site,
            asked.kept or "",
            asked.recipients,
        ]
        for each in candidates:
            first = (each.first_day - _EPOCH).days if each.first_day else ""
            arguments += [each.name, first, " ".join(map(str, each.ceilings))]
        match as_list(await self._redis.run(self._scripts.choose, *arguments)):
            case [b"", int(wait), all_rest]:
                return NoneFree(timedelta(milliseconds=wait), all_rest == b"1")
            case [bytes(source), int(recipients)]:
                return Chosen(source.decode(), recipients)
            case reply:
                raise TypeError(f"a choice of sources is not answered like this: {reply}")

    async def rest(self, rest: SourceRest) -> None:
        """Let a source rest at a site; a rest that ends later stays. May be repeated."""
        length_ms = round(rest.length.total_seconds() * 1000)
        await self._redis.run(self._scripts.rest, rest.site, rest.source, length_ms)
