"""Suppression lists: the addresses that a project sends no more mail of a stream to, why, and since when.

Accepting and claiming mail look each recipient up in the same atomic step (`app.spool`), so what is added here
holds for all mail that is not on its way yet. Addresses stand in their normal form (`app.mail.sameness`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from app.errors import NotFound
from app.events import SuppressionReason
from app.ids import ProjectId
from app.mail.sameness import normal_form
from app.messages import Stream, Suppression
from app.spool.client import Argument, Redis
from app.spool.codec import SUPPRESSION
from app.spool.replies import as_bytes, as_int, as_list, as_text
from app.spool.scripts import Scripts

_CHUNK = 500
"""Entries that one call takes or reads: it keeps Redis from others for less than a millisecond."""
_MOST_LOOKED_AT = 20_000
"""Entries that one page looks at in search of those that are wanted."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One address on the list of one stream. Its address is in normal form."""

    stream: Stream
    address: str
    why: Suppression

    @classmethod
    def of(cls, stream: Stream, address: str, why: Suppression) -> Entry:
        """Return the entry for any spelling of an address."""
        return cls(stream, normal_form(address), why)


@dataclass(frozen=True, slots=True)
class Added:
    """What stands on the list now: the entry that was to be added, or (not `is_new`) one that stood before."""

    entry: Entry
    is_new: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the order of all entries of a project: by stream, then by address."""

    stream: Stream
    address: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries to list: of these streams, and for this reason (None: whatever it is)."""

    streams: tuple[Stream, ...] = tuple(Stream)
    reason: SuppressionReason | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries in their order, and the place to go on after; None at the end."""

    entries: tuple[Entry, ...]
    last: Place | None


class Suppressions:
    """The lists of all projects. All methods raise SpoolError when Redis cannot answer."""

    def __init__(self, redis: Redis, scripts: Scripts) -> None:
        """Use the connections of `redis`."""
        self._redis = redis
        self._scripts = scripts

    async def add(self, project: ProjectId, entries: Sequence[Entry]) -> tuple[Added, ...]:
        """Put entries on their lists, each of which holds at once; what stands there already stays as it is.

        May be repeated. Where it raises SpoolError in the middle, some may have been added.
        """
        added: list[Added] = []
        for start in range(0, len(entries), _CHUNK):
            added += await self._add(project, entries[start : start + _CHUNK])
        return tuple(added)

    async def _add(self, project: ProjectId, entries: Sequence[Entry]) -> Iterable[Added]:
        arguments: list[Argument] = [project]
        for entry in entries:
            arguments += [entry.stream, entry.address, SUPPRESSION.encode(entry.why)]
        before = as_list(await self._redis.keep(self._scripts.suppress, *arguments))
        return (
            Added(Entry(entry.stream, entry.address, SUPPRESSION.decode(as_bytes(found))), False)
            if found
            else Added(entry, True)
            for entry, found in zip(entries, before, strict=True)
        )

    async def of(self, project: ProjectId, address: str) -> tuple[Entry, ...]:
        """Return the entries of an address, on whichever list. Raises NotFound where there is none."""
        normal = normal_form(address)
        found = [
            entry for stream in Stream for entry in await self._read(project, stream, [normal])
        ]
        if not found:
            raise _no_such(address)
        return tuple(found)

    async def found(
        self, project: ProjectId, stream: Stream, addresses: Sequence[str]
    ) -> tuple[Suppression | None, ...]:
        """Return for each address, in any spelling, why it gets no mail of a stream; None where it does."""
        normal = [normal_form(address) for address in addresses]
        why = {
            entry.address: entry.why
            for start in range(0, len(normal), _CHUNK)
            for entry in await self._read(project, stream, normal[start : start + _CHUNK])
        }
        return tuple(why.get(address) for address in normal)

    async def remove(self, project: ProjectId, address: str, streams: Sequence[Stream]) -> None:
        """Take an address off the lists of these streams. Raises NotFound where it is on none.

        Mail that it kept back stays as it ended.
        """
        normal = normal_form(address)
        removed = await self._redis.keep(self._scripts.release, project, normal, *streams)
        if as_int(removed) == 0:
            raise _no_such(address)

    async def page(
        self, project: ProjectId, wanted: Wanted, after: Place | None, most: int
    ) -> Page:
        """Return the next entries, at most so many: fewer, even none, where long stretches hold other reasons.

        What is on a list all the time is returned once, whatever is added and removed between two pages.
        """
        found: list[Entry] = []
        looked_at = 0
        async for entry in self._entries(project, wanted.streams, after):
            looked_at += 1
            after = Place(entry.stream, entry.address)
            found += [entry] if wanted.reason in (None, entry.why.reason) else []
            if len(found) == most or looked_at == _MOST_LOOKED_AT:
                return Page(tuple(found), after)
        return Page(tuple(found), None)

    async def all(self, project: ProjectId, wanted: Wanted) -> AsyncIterator[Entry]:
        """Yield every entry, read chunk by chunk."""
        async for entry in self._entries(project, wanted.streams, None):
            if wanted.reason in (None, entry.why.reason):
                yield entry

    async def _entries(
        self, project: ProjectId, streams: Sequence[Stream], after: Place | None
    ) -> AsyncIterator[Entry]:
        for stream in Stream:
            if stream not in streams or (after and _order(stream) < _order(after.stream)):
                continue
            last = after.address if after and after.stream == stream else ""
            while addresses := await self._addresses(project, stream, last):
                for entry in await self._read(project, stream, addresses):
                    yield entry
                last = addresses[-1]

    async def _addresses(self, project: ProjectId, stream: Stream, after: str) -> list[str]:
        key = f"{self._redis.keys.suppressed}{project}:{stream}"
        start = f"({after}" if after else "-"
        found = await self._redis.call("ZRANGE", key, start, "+", "BYLEX", "LIMIT", 0, _CHUNK)
        return [as_text(address) for address in as_list(found)]

    async def _read(
        self, project: ProjectId, stream: Stream, addresses: Sequence[str]
    ) -> tuple[Entry, ...]:
        key = f"{self._redis.keys.suppressions}{project}:{stream}"
        records = as_list(await self._redis.call("HMGET", key, *addresses))
        return tuple(
            Entry(stream, address, SUPPRESSION.decode(as_bytes(record)))
            for address, record in zip(addresses, records, strict=True)
            if record
        )


def _order(stream: Stream) -> int:
    return list(Stream).index(stream)


def _no_such(address: str) -> NotFound:
    return NotFound(f"{address!a} is not suppressed in this project")
