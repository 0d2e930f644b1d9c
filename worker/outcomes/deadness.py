"""Which bounces say that an address is dead, so that nothing shall be sent to it any more. Pure.

Receivers count how often a sender writes to nobody. What they say of the sender, of the message or of a rule
says nothing of the address: who suppressed for that would lose readers through a bad day of an address of ours.
"""

from __future__ import annotations

from app.events import Category
from worker.outcomes.classify import detail_of
from worker.outcomes.outcome import Outcome, Verdict

_OF_THE_DOMAIN = "1.2"
_NO_MAIL_HERE = 556


def proves_dead(outcome: Outcome) -> bool:
    """Tell whether a receiver refused for good, because of this address and nothing else.

    What we found ourselves (a domain that does not exist or takes no mail) does not count, nor what a relay says
    of a domain (X.1.2, RFC 3463 §3.2; 556, RFC 7504 §2): a domain may come back, and asking the DNS offends
    nobody. Nor does one reply to a message for several recipients, since it does not say which it means.
    """
    reply = outcome.reply
    if reply is None or outcome.is_shared:
        return False
    is_of_the_domain = reply.code == _NO_MAIL_HERE or detail_of(reply) == _OF_THE_DOMAIN
    is_of_the_recipient = outcome.category is Category.RECIPIENT and not is_of_the_domain
    return outcome.verdict is Verdict.BOUNCED and is_of_the_recipient
