"""The part of a claim that goes together: from one source, to the hosts that it can speak to.

Recipients keep the source that they were sent from before, as long as it is in their pool and does not rest
at their site: who greylists wants to see the same address again. What goes from elsewhere, or finds no more
room under the ceiling of the source, is put back and leads the next claim. Where no sources are named, all of a
claim goes together, and nobody is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from app.errors import SpoolError
from app.events import Category
from app.spool.workers.claims import MailClaim
from app.spool.workers.sources import Asked, Candidate, NoneFree
from worker.outcomes.outcome import Outcome, Verdict
from worker.outcomes.pauses import refuses_address, source_pause_after
from worker.resources import Resources
from worker.routing.hosts import Route
from worker.sites.sources import Pool, Source
from worker.smtp.attempt import Attempted

_NO_WAY = Outcome(
    Verdict.UNREACHED,
    Category.LOCAL,
    None,
    "no source has an address of a family that the hosts of the domain have",
    None,
)
_ALL_REST = Outcome(
    Verdict.HELD, None, None, "all sources rest at the receiving system, by its own words", None
)
_ALL_FULL = Outcome(
    Verdict.WAITING,
    Category.LOCAL,
    None,
    "the receiving system got today what the warm-up of the sources allows",
    None,
)
_NEXT = Outcome(Verdict.WAITING, None, None, "another recipient of the message goes first", None)
_UNASKED = Outcome(Verdict.HELD, None, None, "no source could be chosen without Redis", None)

_TRIED = frozenset({Verdict.UNREACHED, Verdict.DEFERRED, Verdict.BOUNCED})


@dataclass(frozen=True, slots=True)
class Share:
    """Which recipients of a claim go (their places in it), to which hosts, from which source to which site."""

    places: tuple[int, ...]
    hosts: Route
    source: Source | None = None
    site: str | None = None

    def addresses(self, claim: MailClaim) -> tuple[str, ...]:
        """Return the addresses of those that go."""
        indexes = (claim.indexes[place] for place in self.places)
        return tuple(claim.message.recipients[index].address for index in indexes)

    def return_path(self, claim: MailClaim) -> str:
        """Return the return path of those that go; recipients whose paths differ are never claimed together."""
        return claim.message.return_path(claim.indexes[self.places[0]])

    def completed(self, attempted: Attempted, claim: MailClaim) -> Attempted:
        """Return an outcome for each recipient of the claim, with what was said of the source told apart."""
        if self.source is None:
            return replace(attempted, outcomes=tuple(map(_judged_alone, attempted.outcomes)))
        outcomes = [_NEXT] * len(claim.indexes)
        for place, outcome in zip(self.places, attempted.outcomes, strict=True):
            outcomes[place] = _judged(outcome)
        return replace(attempted, outcomes=tuple(outcomes), site=self.site)


async def share_of(
    claim: MailClaim, hosts: Route, site: str, resources: Resources
) -> Share | tuple[Outcome, ...]:
    """Choose a source at this site for the first recipient of a claim, and return who goes with it.

    Where none goes, return why, for each recipient in the order of the claim.
    """
    pool = resources.pools.get(claim.lane.stream)
    if pool is None:
        return Share(tuple(range(len(claim.indexes))), hosts)
    kept = claim.states[0].source
    candidates = _candidates(pool, claim, hosts)
    if not candidates:
        return (_NO_WAY,) * len(claim.indexes)
    places = tuple(place for place, state in enumerate(claim.states) if state.source == kept)
    asked = Asked(claim.lane, site, len(places), kept)
    try:
        chosen = await resources.book.choose(asked, [_candidate(each) for each in candidates])
    except SpoolError:
        # Settling waits for Redis, and puts the claim back.
        return (_UNASKED,) * len(claim.indexes)
    if isinstance(chosen, NoneFree):
        return _none_goes(chosen, places, claim)
    source = next(each for each in candidates if each.name == chosen.source)
    return Share(places[: chosen.recipients], source.reachable(hosts), source, site)


def _none_goes(why: NoneFree, places: tuple[int, ...], claim: MailClaim) -> tuple[Outcome, ...]:
    """Return what becomes of each where those at `places` found no source: others may have kept one."""
    if why.all_rest:
        return (_ALL_REST,) * len(claim.indexes)
    full = replace(_ALL_FULL, wait=why.wait)
    return tuple(full if place in places else _NEXT for place in range(len(claim.indexes)))


def _candidates(pool: Pool, claim: MailClaim, hosts: Route) -> tuple[Source, ...]:
    first = claim.message.recipients[claim.indexes[0]].address
    return pool.candidates(claim.message.mail_from, first, hosts, claim.states[0].source)


def _candidate(source: Source) -> Candidate:
    warm_up = source.warm_up
    return (
        Candidate(source.name, warm_up.start, warm_up.ceilings)
        if warm_up
        else Candidate(source.name)
    )


def _judged_alone(outcome: Outcome) -> Outcome:
    """Tell apart a refusal of our only address: nobody bounces for it, and the whole site is left alone."""
    if outcome.verdict is Verdict.BOUNCED and refuses_address(outcome):
        pause = source_pause_after(outcome) or timedelta(0)
        return replace(outcome, verdict=Verdict.BLOCKED, wait=pause)
    return outcome


def _judged(outcome: Outcome) -> Outcome:
    """Tell apart what was said of our address: it is no verdict on the recipient, and no fault of the site."""
    if outcome.verdict not in _TRIED or outcome.in_doubt:
        return outcome
    is_closed = outcome.verdict is Verdict.UNREACHED and source_pause_after(outcome) is not None
    if is_closed or refuses_address(outcome):
        return replace(outcome, verdict=Verdict.BLOCKED)
    return outcome
