"""Header fields that a mail gets beside those that its caller writes."""

from __future__ import annotations

from app.letters.additions import header_fields
from app.letters.drafts import Draft, Options
from app.mail.address import parse_mailbox
from app.mail.threads import Thread
from app.messages import Stream

SHOP = parse_mailbox("shop@shop.example")
BULK = Options(stream=Stream.BULK)


def test_bulk_mail_says_that_no_hand_wrote_it() -> None:
    assert header_fields(Draft(SHOP, (SHOP,), options=BULK)) == (
        ("Auto-Submitted", "auto-generated"),
    )


def test_only_the_caller_knows_who_wrote_transactional_mail() -> None:
    assert header_fields(Draft(SHOP, (SHOP,))) == ()
    said = (("Auto-Submitted", "auto-generated"),)
    assert header_fields(Draft(SHOP, (SHOP,), headers=said)) == said


def test_what_the_caller_says_of_bulk_mail_stands() -> None:
    said = (("auto-submitted", "no"),)
    assert header_fields(Draft(SHOP, (SHOP,), headers=said, options=BULK)) == said


def test_the_thread_comes_before_the_callers_own_fields() -> None:
    draft = Draft(SHOP, (SHOP,), thread=Thread("a@b.example"), headers=(("X-A", "b"),))
    names = [name for name, _ in header_fields(draft)]
    assert names == ["In-Reply-To", "References", "X-A"]
