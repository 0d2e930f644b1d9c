"""One attempt to hand over one mail: through the hosts in their order until each recipient has an outcome.

A verdict of the receiver on a recipient ends the attempt for it. Trouble with a host, or a temporary
refusal before any recipient was named, goes to the next one. What may have been taken (the final dot
was sent, its reply not seen) is never offered to another host.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from app.events import Category, Line, Peer
from app.settings.delivering import DeliverySettings
from worker.outcomes.handshake import Handshake
from worker.outcomes.outcome import Outcome, Verdict
from worker.routing.hosts import Host
from worker.sites.down import DownHosts
from worker.sites.sources import Source
from worker.smtp.envelope import Envelope
from worker.smtp.pool import Pool
from worker.smtp.session import Session, peer_of
from worker.smtp.timeouts import Timeouts
from worker.smtp.transaction import Guard, Next, Result, transact
from worker.smtp.transcript import Transcript
from worker.smtp.trouble import Trouble

_UNTRIED = Outcome(
    Verdict.INTERRUPTED, Category.LOCAL, None, "the worker stopped before a host was tried", None
)

_MISSED = frozenset({Verdict.UNREACHED, Verdict.INSECURE})
"""Verdicts on a host that was offered nothing."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """What an attempt came to: an outcome for each recipient, in their order, and what was said.

    `site` is the site that was tried, known where a source was chosen for it; `handshakes` are those of the
    sessions that were opened for it.
    """

    outcomes: tuple[Outcome, ...]
    dialogue: tuple[Line, ...]
    started_at: datetime
    finished_at: datetime
    site: str | None = None
    handshakes: tuple[Handshake, ...] = ()


class Carrier:
    """Carries mail to hosts, over kept sessions where there are any; those that are down come last."""

    def __init__(self, pool: Pool, settings: DeliverySettings) -> None:
        self._pool = pool
        self._most_addresses = settings.addresses_per_attempt
        self._most_sessions = settings.sessions_per_attempt
        self._timeouts = Timeouts.of(settings.timeouts)
        self._down = DownHosts(settings.site_rest.total_seconds())
        self._slow_after = settings.drain_time.total_seconds()
        self._running: dict[asyncio.Timeout, _Attempt] = {}

    async def carry(
        self,
        hosts: Sequence[Host],
        envelope: Envelope,
        guard: Guard,
        source: Source | None = None,
    ) -> Attempted:
        """Try `hosts` until each recipient of `envelope` has a verdict; never raises for what others do.

        All are spoken to from `source`, which has an address for each; None leaves that to the system.

        On cancellation the session is closed, unless the final dot was sent: then the reply is waited
        for and the outcomes are returned; `asyncio.current_task().cancelling()` tells of it.
        """
        started_at = datetime.now(UTC)
        attempt = _Attempt(self._pool, envelope, guard, self._timeouts, source)
        try:
            async with asyncio.timeout(self._timeouts.attempt) as limit:
                self._running[limit] = attempt
                await self._visit(hosts, attempt)
        except TimeoutError:
            attempt.run_out()
        finally:
            self._running.pop(limit, None)
        return Attempted(
            attempt.outcomes(),
            attempt.transcript.lines(),
            started_at,
            datetime.now(UTC),
            handshakes=tuple(attempt.transcript.handshakes),
        )

    def make_room(self, keep: int) -> None:
        """End the youngest attempt that is longer under way than a drain may run, if there are more than `keep`.

        So hosts that keep us waiting cannot fill a process. After its final dot an attempt goes on.
        """
        slow_since = asyncio.get_running_loop().time() - self._slow_after
        slow = [
            limit
            for limit, each in self._running.items()
            if each.started < slow_since and not limit.expired()
        ]
        if len(slow) > keep:
            del self._running[slow[-1]]
            slow[-1].reschedule(slow_since)

    async def _visit(self, hosts: Sequence[Host], attempt: _Attempt) -> None:
        sessions = 0
        for host in self._down.last(hosts)[: self._most_addresses]:
            trouble = await attempt.visit(host)
            sessions += trouble is None
            if trouble is None:
                self._down.forget(host)
            elif trouble.blames_host:
                self._down.remember(host)
            if attempt.is_over or sessions == self._most_sessions:
                break


class _Attempt:
    def __init__(
        self,
        pool: Pool,
        envelope: Envelope,
        guard: Guard,
        timeouts: Timeouts,
        source: Source | None,
    ) -> None:
        self.transcript = Transcript()
        self.started = asyncio.get_running_loop().time()
        self._pool = pool
        self._envelope = envelope
        self._guard = guard
        self._timeouts = timeouts
        self._source = source
        self._outcomes: dict[int, Outcome] = {}
        self._open = tuple(range(len(envelope.recipients)))
        self._cancellations = _cancellations()
        self._peer: Peer | None = None
        self._waiting: set[tuple[int, Peer | None]] = set()

    @property
    def is_over(self) -> bool:
        """Tell whether no other host is to be tried."""
        return not self._open or self._is_cancelled()

    def outcomes(self) -> tuple[Outcome, ...]:
        return tuple([self._outcome(index) for index in range(len(self._envelope.recipients))])

    def run_out(self) -> None:
        """Note that the time of the whole attempt was up before those left over had a verdict."""
        waited = asyncio.get_running_loop().time() - self.started
        text = f"the hosts were too slow: no verdict within {waited:.0f} seconds"
        too_slow = Outcome(Verdict.UNREACHED, Category.NETWORK, None, text, self._peer)
        self._note(tuple(Result(too_slow, Next.ELSEWHERE) for _ in self._open))

    async def visit(self, host: Host) -> Trouble | None:
        """Try one host; return why there was no session with it, None where there was one."""
        self._peer = peer_of(host, self._source)
        kept = self._pool.take(host, self._source)
        if kept is not None and await self._use_kept(kept):
            return None
        try:
            while await self._converse(await self._pool.open(host, self.transcript, self._source)):
                pass
        except Trouble as trouble:
            return self._miss(trouble)
        return None

    async def _use_kept(self, session: Session) -> bool:
        """Use a kept session; tell whether we are done with its host.

        If not, it is the session that had enough, and a fresh one with the same host may do.
        """
        session.dialogue.note_in(self.transcript)
        before, mails = len(self._open), session.mails
        goes_on = await self._converse(session)
        has_settled = len(self._open) < before and not goes_on
        lacks_something = session.dialogue.is_usable and session.mails == mails
        return has_settled or lacks_something or self._is_cancelled()

    def _miss(self, trouble: Trouble) -> Trouble:
        """Note that there was no session with the host that is tried now, and return why."""
        assert self._peer is not None
        unreached = trouble.unreached(self._peer)
        self._note(tuple(Result(unreached, Next.ELSEWHERE) for _ in self._open))
        return trouble

    async def _converse(self, session: Session) -> bool:
        """Use a session for all that it can do; tell whether the host takes the rest in a fresh one."""
        before = left = len(self._open)
        try:
            while wants_more := self._note(
                await transact(session, self._rest(), self._guard, self._timeouts)
            ):
                has_stalled, left = len(self._open) == left, len(self._open)
                if has_stalled or self._pool.is_spent(session) or self._is_cancelled():
                    break
        except BaseException:
            session.dialogue.abort()
            raise
        self._pool.give(session)
        return wants_more and len(self._open) < before and not self._is_cancelled()

    def _outcome(self, index: int) -> Outcome:
        """Return what a recipient comes to: no bounce while a host that may not share it may still take it."""
        outcome = self._outcomes.get(index, _UNTRIED)
        is_bounce = outcome.verdict is Verdict.BOUNCED
        may_wait = index in self._open and any(waiting == index for waiting, _ in self._waiting)
        if is_bounce and may_wait:
            return replace(outcome, verdict=Verdict.DEFERRED)
        return outcome

    def _rest(self) -> Envelope:
        if len(self._open) == len(self._envelope.recipients):
            return self._envelope
        recipients = tuple(self._envelope.recipients[index] for index in self._open)
        return replace(self._envelope, recipients=recipients)

    def _note(self, results: Sequence[Result]) -> bool:
        """Keep the results of the open recipients; tell whether this session should go on with some."""
        still_open: list[int] = []
        for index, result in zip(self._open, results, strict=True):
            place = index, self._peer
            (self._waiting.add if _may_take_it(result) else self._waiting.discard)(place)
            known = self._outcomes.get(index)
            if known is None or _weight(result.outcome) >= _weight(known):
                self._outcomes[index] = result.outcome
            if result.next is not Next.NOTHING:
                still_open.append(index)
        self._open = tuple(still_open)
        return any(result.next is Next.HERE for result in results)

    def _is_cancelled(self) -> bool:
        """Tell whether we were told to stop while the reply to a final dot was awaited."""
        return _cancellations() > self._cancellations


def _may_take_it(result: Result) -> bool:
    """Tell whether the host that this comes of may still take the mail, some other time."""
    return result.outcome.verdict in _MISSED or result.outcome.verdict is Verdict.DEFERRED


def _weight(outcome: Outcome) -> int:
    """Weigh what hosts said: that a later one could not be reached does not undo what an earlier one told us."""
    if outcome.verdict not in _MISSED:
        return 3
    if outcome.verdict is Verdict.INSECURE:
        return 2
    return 1 if outcome.reply else 0


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else 0
