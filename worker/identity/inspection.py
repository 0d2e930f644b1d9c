"""One look at all records of a domain: what there is, compared with what should be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from app.identity.findings import (
    Answered,
    Elsewhere,
    Finding,
    FindingState,
    Seen,
    Unanswered,
    finding,
    is_missing,
)
from app.identity.judging import State, dmarc
from app.identity.names import with_parents
from app.identity.records import Purpose, Record
from worker.identity.nameservers import NameServers, Zone

_MOST_PARENTS = 5


async def inspect(
    domain: str, records: Sequence[Record], servers: NameServers, budget_s: float
) -> tuple[Finding, ...]:
    """Return a finding for each record. What is not known within `budget_s` seconds counts as unreachable."""
    once = servers.afresh()
    looking = [asyncio.ensure_future(_look(domain, record, once)) for record in records]
    try:
        if looking:
            await asyncio.wait(looking, timeout=budget_s)
        late = Seen((Unanswered("its name servers", f"no answer within {budget_s:g} seconds"),))
        return tuple(
            finding(record, look.result() if look.done() else late)
            for record, look in zip(records, looking, strict=True)
        )
    finally:
        for look in looking:
            look.cancel()


def published(findings: Sequence[Finding]) -> frozenset[str]:
    """Return the selectors whose records are as they should be on all name servers that answered."""
    return frozenset(
        each.record.name.partition("._domainkey.")[0]
        for each in findings
        if each.record.purpose is Purpose.DKIM and each.state is FindingState.OK
    )


async def _look(domain: str, record: Record, servers: NameServers) -> Seen:
    sightings = await servers.look(record.name, record.type.value)
    if not is_missing(sightings, record):
        return Seen(sightings)
    if record.purpose is Purpose.DMARC:
        doubled, inherited = await asyncio.gather(
            _doubled(record, servers), _inherited(domain, record, servers)
        )
        return Seen(sightings, doubled, inherited)
    return Seen(sightings, await _doubled(record, servers))


async def _doubled(record: Record, servers: NameServers) -> Elsewhere | None:
    """Look where the record stands if a form has appended the zone to a name that had it already."""
    zone = await servers.zone(record.name)
    if not isinstance(zone, Zone):
        return None
    name = f"{record.name}.{zone.name}"
    values = _values(await servers.look(name, record.type.value))
    # Some zones answer every name below them; what we did not ask for is no record of ours.
    return Elsewhere(name, values) if values and _resembles(values, record) else None


async def _inherited(domain: str, record: Record, servers: NameServers) -> Elsewhere | None:
    """Look for the record of the nearest domain above that has one (RFC 7489 §6.6.3, by walking up)."""
    for parent in list(with_parents(domain))[1:][-_MOST_PARENTS:]:
        name = f"_dmarc.{parent}"
        values = _values(await servers.look(name, record.type.value))
        if dmarc(values, record.value).state is not State.MISSING:
            return Elsewhere(name, values)
    return None


def _values(sightings: Sequence[Answered | Unanswered]) -> tuple[str, ...]:
    return next((each.values for each in sightings if isinstance(each, Answered)), ())


def _resembles(values: Sequence[str], record: Record) -> bool:
    seen = Seen((Answered("", tuple(values)),))
    return not is_missing(seen.sightings, record)
