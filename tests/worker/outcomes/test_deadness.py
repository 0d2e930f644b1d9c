"""Which bounces suppress: what a receiver says of this address, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.events import Category
from app.mail.reply import Reply
from worker.outcomes.classify import Phase, classify
from worker.outcomes.deadness import proves_dead
from worker.outcomes.outcome import Outcome, Verdict


def outcome(code: int, enhanced: str | None, text: str, phase: Phase = Phase.RCPT) -> Outcome:
    reply = Reply(code, enhanced, text)
    judgement = classify(reply, phase)
    return Outcome(judgement.verdict, judgement.category, reply, "", None)


@pytest.mark.parametrize(
    ("code", "enhanced", "text"),
    [
        (550, "5.1.1", "<x@example.org>: Recipient address rejected: User unknown"),
        (550, None, "No such user here"),
        (550, "5.0.0", "Unknown User"),
        (554, None, "delivery error: dd This user doesn't have an example.org account"),
        (554, None, "delivery error: dd This mailbox is disabled (554.30)"),
        (550, "5.4.1", "Recipient address rejected: Access denied"),
        (550, "5.2.1", "The email account that you tried to reach is disabled"),
        (550, "5.1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP lookup"),
        (550, "5.1.6", "Recipient no longer on server"),
    ],
)
def test_an_address_that_is_not_there_is_dead(code: int, enhanced: str | None, text: str) -> None:
    assert proves_dead(outcome(code, enhanced, text))
    assert proves_dead(outcome(code, enhanced, text, Phase.DOT))


@pytest.mark.parametrize(
    ("code", "enhanced", "text"),
    [
        # Reputation, policy and content
        (550, "5.7.1", "Our system has detected that this message is likely unsolicited mail"),
        (550, "5.7.1", "Gmail has detected that this message is likely suspicious due to the low "
         "reputation of the sending domain"),
        (550, "5.7.1", "Message rejected due to policy"),
        (550, "5.7.1", "Service unavailable, Client host [192.0.2.1] blocked using Spamhaus"),
        (550, "5.7.1", "Messages missing a valid address in From: header are not accepted"),
        (554, "5.6.0", "Malformed header: message rejected"),
        (552, "5.3.4", "Message size exceeds fixed limit"),
        (550, "5.7.26", "Unauthenticated email is not accepted due to the domain's DMARC policy"),
        # Full, or busy
        (552, "5.2.2", "Mailbox full"),
        (550, "5.2.2", "The email account that you tried to reach is over quota"),
        # Of the domain
        (550, "5.1.2", "Host unknown: the domain does not exist"),
        (556, None, "Domain does not accept mail"),
        # Not for good
        (450, "4.1.1", "User unknown, try again later"),
        (451, "4.2.1", "Mailbox disabled for now"),
        (552, None, "No such user: too many recipients"),
    ],
)  # fmt: skip
def test_what_is_not_about_the_address_or_not_for_good_proves_nothing(
    code: int, enhanced: str | None, text: str
) -> None:
    assert not proves_dead(outcome(code, enhanced, text))


def test_a_refusal_before_a_recipient_was_named_proves_nothing() -> None:
    for phase in (Phase.GREETING, Phase.EHLO, Phase.MAIL):
        assert not proves_dead(outcome(550, "5.1.1", "User unknown", phase))


def test_one_reply_for_several_recipients_does_not_say_which_it_means() -> None:
    dead = outcome(550, "5.1.1", "User unknown", Phase.DOT)
    assert proves_dead(dead)
    assert not proves_dead(replace(dead, is_shared=True))


def test_what_we_found_ourselves_proves_nothing() -> None:
    for text in ("5.1.2 the domain does not exist", "5.1.10 the domain takes no mail (null MX)"):
        assert not proves_dead(Outcome(Verdict.BOUNCED, Category.RECIPIENT, None, text, None))
