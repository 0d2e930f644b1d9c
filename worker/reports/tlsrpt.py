"""Counting how TLS went, for the domains that want to hear of it (RFC 8460).

Sessions note their handshakes in memory; every few seconds the counts go to Redis, where those of all workers
add up. A worker that is killed loses the counts of those seconds, and no mail waits for any of it.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256

import structlog

from app.errors import SpoolError
from app.spool.codec import Codec
from app.spool.workers.reports import TlsCount, TlsLedger
from worker.outcomes.handshake import Asked, Handshake, PolicyKind
from worker.policies.handshakes import unprotected, with_text
from worker.policies.policybook import PolicyBook
from worker.routing.answers import Failed, Found
from worker.routing.resolver import Resolver

HANDSHAKE = Codec(Handshake)

_FLUSH_S = 5.0
_MOST_NOTED = 10_000
_LOOK_UPS = 20
_MOST_REASON = 200
_MOST_LINES = 50
_MOST_LINE = 255
"""How much of a policy is told: as much as sensible ones have. It comes from others, and many times a day."""
_FIRST_AFTER = timedelta(minutes=15)
_SPREAD = timedelta(hours=4)
_VERSION = re.compile(rb"v=TLSRPTv1[ \t]*;")
# No more than one repetition may match a space: others write the text, and it may have 64 KB.
_RUA = re.compile(r"[ \t]*rua[ \t]*=(.*)")

_log = structlog.get_logger(__name__)


_Noted = tuple[date, str, Handshake]


@dataclass(frozen=True, slots=True)
class Publications:
    """What domains publish: where reports go, and their MTA-STS policies."""

    resolver: Resolver
    policies: PolicyBook

    async def addresses(self, domain: str) -> Sequence[str] | None:
        """Return the URIs that a domain wants reports at, in their order; None where the DNS cannot tell now."""
        answer = await self.resolver.texts(f"_smtp._tls.{domain}")
        if isinstance(answer, Failed):
            return None
        return parse_record(answer.records) if isinstance(answer, Found) else ()

    async def stated(self, domain: str, handshake: Handshake) -> Sequence[Handshake]:
        """Return what a handshake says of each policy: of an MTA-STS one with its text. Raises SpoolError.

        Where such a policy is published but cannot be had, that is told beside how TLS went without it.
        """
        match handshake.asked.kind:
            case PolicyKind.STS:
                return (with_text(handshake, await self.policies.in_force(domain)),)
            case PolicyKind.NONE if trouble := self.policies.trouble(domain):
                return handshake, unprotected(handshake, trouble)
            case _:
                return (handshake,)


class TlsReports:
    """Takes notes of handshakes. Without `is_wanted` it takes none, for no reports would be made of them."""

    def __init__(
        self,
        ledger: TlsLedger,
        published: Publications,
        clock: Callable[[], datetime],
        *,
        is_wanted: bool,
    ) -> None:
        """Nothing is noted yet."""
        self._ledger = ledger
        self._published = published
        self._clock = clock
        self._is_wanted = is_wanted
        self._noted: Counter[_Noted] = Counter()

    def note(self, domain: str, handshakes: Iterable[Handshake]) -> None:
        """Count the sessions that were opened for mail to `domain`; costs no time. Never raises."""
        if not self._is_wanted:
            return
        today = self._clock().astimezone(UTC).date()
        for handshake in handshakes:
            noted = (today, domain, _short(handshake))
            if noted in self._noted or len(self._noted) < _MOST_NOTED:
                self._noted[noted] += 1

    async def keep(self) -> None:
        """Hand the counts over every few seconds, for ever; run it as a task."""
        while True:
            await asyncio.sleep(_FLUSH_S)
            try:
                await self.flush()
            except Exception:  # a fault of ours here must not keep mail from going out
                _log.exception("tls_counting_failed")

    async def flush(self) -> None:
        """Hand the counts over; while Redis is away they are kept, and on cancellation too."""
        noted, self._noted = self._noted, Counter()
        try:
            await self._hand_over(noted)
            noted.clear()
        except SpoolError as error:
            _log.warning("tls_not_counted", error=error.detail)
        finally:
            self._noted += noted

    async def _hand_over(self, noted: Mapping[_Noted, int]) -> None:
        wanted = await self._wanting({domain for _, domain, _ in noted})
        counts = [
            _count(day, domain, stated, times)
            for (day, domain, handshake), times in noted.items()
            if domain in wanted and due_at(day, domain) > self._clock()
            for stated in await self._published.stated(domain, handshake)
        ]
        if counts:
            await self._ledger.add(counts)

    async def _wanting(self, domains: Iterable[str]) -> frozenset[str]:
        """Return the domains that publish where reports go, as far as can be told."""
        places = asyncio.Semaphore(_LOOK_UPS)

        async def look(domain: str) -> str | None:
            async with places:
                return domain if await self._published.addresses(domain) != () else None

        found = await asyncio.gather(*map(look, domains))
        return frozenset(filter(None, found))


def _short(handshake: Handshake) -> Handshake:
    asked = handshake.asked
    told = Asked(asked.kind, _beginning(asked.strings), _beginning(asked.hosts))
    return replace(handshake, reason=handshake.reason[:_MOST_REASON], asked=told)


def _beginning(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(line[:_MOST_LINE] for line in lines[:_MOST_LINES])


def _count(day: date, domain: str, handshake: Handshake, times: int) -> TlsCount:
    # One of few, whatever the domain does: it may have endless hosts, and change its policy without end.
    spare = Handshake(handshake.failure, asked=Asked(handshake.asked.kind))
    field, short = HANDSHAKE.encode(_short(handshake)), HANDSHAKE.encode(spare)
    return TlsCount(domain, day, due_at(day, domain), field, short, times)


def due_at(day: date, domain: str) -> datetime:
    """Return when the report of a day (UTC) is made: some hours after it, each domain at a time of its own.

    The day is over everywhere then, and no receiver of reports gets all of them at once (RFC 8460 §4.1).
    """
    midnight = datetime.combine(day, time(), UTC) + timedelta(days=1)
    part = int.from_bytes(sha256(domain.encode()).digest()[:4], "big") / 2**32
    return midnight + _FIRST_AFTER + (_SPREAD - _FIRST_AFTER) * part


def parse_record(texts: Iterable[bytes]) -> Sequence[str]:
    """Return the URIs of TXT records at `_smtp._tls.<domain>` (RFC 8460 §3); none where it has no such policy.

    Of the records that begin with the version exactly one may be there; fields that are not known are passed over.
    """
    records = [text for text in texts if _VERSION.match(text)]
    if len(records) != 1 or not records[0].isascii():
        return ()
    fields = records[0].decode("ascii").split(";")[1:]
    found = [field[1] for field in map(_RUA.fullmatch, fields) if field]
    if len(found) != 1:
        return ()
    return tuple(uri for uri in map(str.strip, found[0].split(",")) if uri)
