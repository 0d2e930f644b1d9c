"""Whether mail may still be sent from its domain: asked again right before it is, since days may have passed."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from app.errors import SpoolError
from app.events import Category
from app.identity.senders import Senders, Standing
from app.messages import Message
from app.spool.workers.reports import INSTALLATION
from worker.outcomes.outcome import Outcome, Verdict

_UNKNOWN = Outcome(
    Verdict.HELD, None, None, "whether it may be sent cannot be known without Redis", None
)


async def refusal(message: Message, senders: Senders, hold: timedelta) -> Outcome | None:
    """Return what becomes of a message that may not be sent now; None for one that may.

    Asked for are the domains of its author and of the return path that its caller may have chosen. From one that
    is gone it never will. One that fails may be put right: its mail waits for `hold` before it is looked at again.
    Reports are mail of our own, about messages that were allowed.
    """
    if message.reports_on or message.project == INSTALLATION:
        return None
    domains = {name.rpartition("@")[2]: None for name in (message.author, message.mail_from)}
    try:
        standings = {name: await senders.standing(message.project, name) for name in domains}
    except SpoolError:
        return _UNKNOWN  # settling waits for Redis, and puts the claim back
    # What is gone for good weighs more than what may be put right.
    found = [_outcome(standing, name, hold) for name, standing in standings.items()]
    return min(filter(None, found), key=lambda each: each.verdict is Verdict.WAITING, default=None)


def _outcome(standing: Standing, domain: str, hold: timedelta) -> Outcome | None:
    match standing:
        case Standing.FREE:
            return None
        case Standing.FAILING | Standing.PENDING:
            # A domain that was deleted and made again is pending, and may soon be verified.
            text = f"4.7.20 not sent: {domain} is {standing}, its DNS records are to be put right"
            return Outcome(Verdict.WAITING, Category.AUTHENTICATION, None, text, None, wait=hold)
        case Standing.FOREIGN:
            text = f"5.7.1 not sent: {domain} is no domain of the project any more"
            return Outcome(Verdict.BOUNCED, Category.AUTHENTICATION, None, text, None)
        case _:
            assert_never(standing)
