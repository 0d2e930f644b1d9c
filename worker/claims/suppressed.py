"""The recipients of a claim that are suppressed: nobody is asked about them, and the others go on without them."""

from __future__ import annotations

from dataclasses import replace

from app.messages import Suppression
from app.spool.workers.claims import MailClaim
from worker.outcomes.outcome import Outcome, Verdict
from worker.smtp.attempt import Attempted


def spared(claim: MailClaim) -> tuple[int, ...]:
    """Return the places in the claim of those that are not suppressed."""
    return tuple(
        place for place, index in enumerate(claim.indexes) if index not in claim.suppressions
    )


def with_suppressed(attempted: Attempted, claim: MailClaim) -> Attempted:
    """Return the outcomes of those that are not suppressed among those of the whole claim."""
    tried = iter(attempted.outcomes)
    found = (claim.suppressions.get(index) for index in claim.indexes)
    outcomes = tuple(_suppressed(why) if why else next(tried) for why in found)
    return replace(attempted, outcomes=outcomes)


def _suppressed(why: Suppression) -> Outcome:
    return Outcome(Verdict.SUPPRESSED, None, None, why.text, None, suppression=why.reason)
