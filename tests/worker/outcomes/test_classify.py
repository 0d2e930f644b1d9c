"""What replies mean: the verdict by code and phase, the kind of trouble by code and words."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.events import Category
from app.mail.reply import Reply, parse_reply
from worker.outcomes.classify import Judgement, Phase, classify
from worker.outcomes.outcome import Verdict

_ = Category
SAID = [
    # No such mailbox
    (_.RECIPIENT, Phase.RCPT, "550 5.1.1 <joe@x.example>: Recipient address rejected: User unknown"),
    (_.RECIPIENT, Phase.RCPT, "550 Unknown User"),
    (_.RECIPIENT, Phase.RCPT, "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)"),
    (_.RECIPIENT, Phase.RCPT, "550-5.1.1 The email account that you tried to reach does not exist."),
    (_.RECIPIENT, Phase.DOT, "554 delivery error: dd Sorry. This mailbox is disabled (554.30)."),
    (_.RECIPIENT, Phase.RCPT, "550 5.2.1 The account you wrote to is switched off"),
    (_.RECIPIENT, Phase.RCPT, "550 Requested action not taken: mailbox unavailable"),
    (_.RECIPIENT, Phase.RCPT, "550 5.5.0 Requested action not taken: mailbox unavailable"),
    (_.RECIPIENT, Phase.RCPT, "554 5.7.1 <a@x.example>: No such user here"),
    (_.RECIPIENT, Phase.RCPT, "551 we do not keep that one"),
    (_.RECIPIENT, Phase.RCPT, "553 Requested action not taken: mailbox name not allowed"),
    (_.RECIPIENT, Phase.RCPT, "556 5.1.10 Recipient address has a null MX"),
    (_.RECIPIENT, Phase.RCPT, "550 5.1.0 Address rejected."),
    (_.RECIPIENT, Phase.DOT, "550 5.7.17 Mailbox owner has changed"),
    # Full
    (_.MAILBOX_FULL, Phase.RCPT, "552 5.2.2 Out of quota"),
    (_.MAILBOX_FULL, Phase.RCPT, "452 4.2.2 The inbox you wrote to has no room"),
    (_.MAILBOX_FULL, Phase.DOT, "552 Message rejected: mailbox is full"),
    (_.MAILBOX_FULL, Phase.RCPT, "450 joe is over quota at the moment"),
    (_.MAILBOX_FULL, Phase.MAIL, "452 4.3.1 Insufficient system storage"),
    (_.MAILBOX_FULL, Phase.MAIL, "452 come back when there is room"),
    # The receiver's rules
    (_.POLICY, Phase.RCPT, "450 4.2.0 <joe@x.example>: Recipient address rejected: Greylisted"),
    (_.POLICY, Phase.RCPT, "451 4.7.1 Greylisting in action, please come back later"),
    (_.POLICY, Phase.RCPT, "452 4.5.3 Too many recipients"),
    (_.POLICY, Phase.RCPT, "554 5.7.1 Relay access denied"),
    (_.POLICY, Phase.MAIL, "550 5.1.8 Sender address rejected: Domain not found"),
    (_.POLICY, Phase.MAIL, "550 5.1.1 We do not know you"),
    (_.POLICY, Phase.RCPT, "550 No"),
    (_.POLICY, Phase.RCPT, "553 sorry, that is not something we allow"),
    (_.POLICY, Phase.DOT, "550 5.7.1 Refused by local rule"),
    (_.POLICY, Phase.GREETING, "521 this host takes no mail"),
    # Mistrust
    (_.REPUTATION, Phase.RCPT, "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org"),
    (_.REPUTATION, Phase.RCPT, "550 5.7.606 Access denied, banned sending IP [192.0.2.1]"),
    (_.REPUTATION, Phase.DOT, "550-5.7.1 This message is likely unsolicited mail, so it was blocked"),
    (_.REPUTATION, Phase.DOT, "421 4.7.28 There is an unusual rate of mail from your address"),
    (_.REPUTATION, Phase.GREETING, "554 The IP address of this host has a poor reputation"),
    (_.REPUTATION, Phase.RCPT, "550 5.1.1 Mail from you is on our blocklist"),
    (_.REPUTATION, Phase.MAIL, "550 SC-001 Part of your network is on our block list"),
    # Who are you
    (_.AUTHENTICATION, Phase.DOT, "550 5.7.26 This mail is unauthenticated"),
    (_.AUTHENTICATION, Phase.DOT, "550 5.7.25 The sending address has no name"),
    (_.AUTHENTICATION, Phase.DOT, "550 5.7.1 Message does not pass the DMARC policy of its domain"),
    (_.AUTHENTICATION, Phase.MAIL, "550 5.7.23 Not from there"),
    (_.AUTHENTICATION, Phase.RCPT, "450 4.7.1 Client host rejected: cannot find your reverse hostname"),
    # What it says
    (_.CONTENT, Phase.DOT, "554 5.7.1 Message looks like spam to us"),
    (_.CONTENT, Phase.DOT, "550 5.6.0 Lone CR or LF in headers"),
    (_.CONTENT, Phase.DOT, "552 5.3.4 More than we take"),
    (_.CONTENT, Phase.MAIL, "552 message exceeds fixed limit"),
    (_.CONTENT, Phase.DOT, "554 5.7.0 A virus was found inside"),
    # The network, the protocol
    (_.NETWORK, Phase.GREETING, "421 4.3.2 Not now"),
    (_.NETWORK, Phase.RCPT, "451 4.4.1 Cannot reach the next host"),
    (_.NETWORK, Phase.RCPT, "554 5.4.6 Routing loop"),
    (_.NETWORK, Phase.EHLO, "421 going down"),
    (_.PROTOCOL, Phase.MAIL, "501 5.5.4 Syntax error in parameters"),
    (_.PROTOCOL, Phase.DATA, "503 bad sequence of commands"),
    (_.PROTOCOL, Phase.MAIL, "555 what parameter is that"),
    # An enhanced code of another class is none
    (_.POLICY, Phase.RCPT, "550 2.1.5 Recipient fine, still no"),
]  # fmt: skip


@pytest.mark.parametrize(("category", "phase", "said"), SAID)
def test_words_and_codes_tell_the_kind_of_trouble(
    category: Category, phase: Phase, said: str
) -> None:
    reply = parse_reply([said.replace("-", " ", 1).encode() if said[3] == "-" else said.encode()])
    assert classify(reply, phase).category is category


@pytest.mark.parametrize(
    ("phase", "code", "verdict"),
    [
        (Phase.DOT, 250, Verdict.DELIVERED),
        (Phase.DOT, 259, Verdict.DELIVERED),
        (Phase.DOT, 354, Verdict.UNREACHED),
        (Phase.DOT, 451, Verdict.DEFERRED),
        (Phase.DOT, 552, Verdict.BOUNCED),
        (Phase.DOT, 554, Verdict.BOUNCED),
        (Phase.DOT, 421, Verdict.UNREACHED),
        (Phase.DATA, 250, Verdict.UNREACHED),
        (Phase.DATA, 450, Verdict.DEFERRED),
        (Phase.DATA, 554, Verdict.BOUNCED),
        (Phase.RCPT, 354, Verdict.UNREACHED),
        (Phase.RCPT, 452, Verdict.DEFERRED),
        (Phase.RCPT, 552, Verdict.DEFERRED),
        (Phase.RCPT, 550, Verdict.BOUNCED),
        (Phase.RCPT, 421, Verdict.UNREACHED),
        (Phase.MAIL, 552, Verdict.BOUNCED),
        (Phase.MAIL, 451, Verdict.DEFERRED),
        (Phase.MAIL, 550, Verdict.BOUNCED),
        (Phase.EHLO, 550, Verdict.UNREACHED),
        (Phase.EHLO, 451, Verdict.UNREACHED),
        (Phase.GREETING, 554, Verdict.UNREACHED),
        (Phase.GREETING, 521, Verdict.UNREACHED),
    ],
)
def test_code_and_phase_make_the_verdict(phase: Phase, code: int, verdict: Verdict) -> None:
    assert classify(parse_reply([f"{code} so".encode()]), phase).verdict is verdict


@pytest.mark.parametrize(
    ("said", "verdict"), [("250 5.1.1 Ok", Verdict.DELIVERED), ("550 2.0.0 Ok", Verdict.BOUNCED)]
)
def test_the_code_wins_over_an_enhanced_code_that_contradicts(said: str, verdict: Verdict) -> None:
    assert classify(parse_reply([said.encode()]), Phase.DOT).verdict is verdict


def test_what_is_delivered_has_no_trouble() -> None:
    said = parse_reply([b"250 2.0.0 Accepted, though it looks like spam"])
    assert classify(said, Phase.DOT) == Judgement(Verdict.DELIVERED, None)


@pytest.mark.parametrize("phase", [Phase.GREETING, Phase.EHLO, Phase.MAIL])
@pytest.mark.parametrize("said", ["550 5.1.1 User unknown", "550 No such user", "556 Nobody here"])
def test_nothing_said_before_rcpt_speaks_of_the_recipient(phase: Phase, said: str) -> None:
    assert classify(parse_reply([said.encode()]), phase).category is not Category.RECIPIENT


@pytest.mark.parametrize("phase", [Phase.GREETING, Phase.EHLO, Phase.MAIL, Phase.RCPT])
def test_talk_of_spam_before_the_message_came_means_the_sender(phase: Phase) -> None:
    assert classify(parse_reply([b"554 No spam"]), phase).category is Category.REPUTATION


@pytest.mark.parametrize("said", ["552 Too large", "554 5.2.3 No", "554 Message too big"])
def test_a_size_that_was_announced_is_content_before_the_message_came(said: str) -> None:
    assert classify(parse_reply([said.encode()]), Phase.MAIL).category is Category.CONTENT


@pytest.mark.parametrize(
    "said",
    [
        "550 <spam@x.example>: User unknown",
        "550 no such user 'blacklist@spf.example'",
        "550 5.1.1 mx1.virus.example knows nobody of that name",
    ],
)
def test_names_of_people_and_hosts_are_no_reasons(said: str) -> None:
    assert classify(parse_reply([said.encode()]), Phase.RCPT).category is Category.RECIPIENT


@pytest.mark.parametrize(
    ("said", "category"),
    [
        ("550 sorry (#5.1.1)", Category.RECIPIENT),
        ("553 #5.7.1 sorry", Category.POLICY),
        ("550 sorry (#4.1.1)", Category.POLICY),
        ("550 sorry (#5.1.1.1)", Category.POLICY),
    ],
)
def test_a_marked_enhanced_code_inside_the_words_counts(said: str, category: Category) -> None:
    assert classify(parse_reply([said.encode()]), Phase.RCPT).category is category


@given(
    st.integers(min_value=-1, max_value=1000),
    st.none() | st.from_regex(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True) | st.text(),
    st.text(max_size=1024),
    st.sampled_from(Phase),
)
@example(550, "5.1.", "", Phase.RCPT)
@example(199, None, "no reply code", Phase.DOT)
@example(600, None, "no reply code", Phase.RCPT)
def test_any_reply_has_one_kind_of_trouble_and_only_a_delivery_has_none(
    code: int, enhanced: str | None, text: str, phase: Phase
) -> None:
    judgement = classify(Reply(code, enhanced, text), phase)
    if phase is Phase.DOT and 200 <= code < 300:
        assert judgement == Judgement(Verdict.DELIVERED, None)
    else:
        assert judgement.verdict is not Verdict.DELIVERED
        assert judgement.category is not None
