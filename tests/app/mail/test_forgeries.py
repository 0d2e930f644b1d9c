"""Signed mails that somebody changed on their way: no signature may hold, in either of two foreign verifiers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.mail.dkim import Algorithm, generate_pem, load_key, public_record, sign
from app.mail.mime.compose import compose
from tests.app.mail.finished.mails import finished_mails
from tests.app.mail.letters import LETTER, letters
from tests.app.mail.verifiers import OPENDKIM, verdicts

RSA = load_key(generate_pem(Algorithm.RSA), "example.com", "rsa")
ED25519 = load_key(generate_pem(Algorithm.ED25519), "example.com", "ed")
RECORDS = {f"{key.selector}._domainkey.example.com": public_record(key) for key in (RSA, ED25519)}
BOTH = {
    f"{verifier} {selector}" for verifier in ("dkimpy", "opendkim") for selector in ("rsa", "ed")
}
SIGNATURE = re.compile(rb"DKIM-Signature:(?:[^\r]|\r\n )*\r\n")
FIELD = re.compile(rb"(?m)^([!-9;-~]+):((?:[^\r]|\r\n[ \t])*)\r\n")
LISTED = (
    *("List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Help", "List-Subscribe"),
    *("List-Post", "List-Owner", "List-Archive", "Feedback-ID", "CFBL-Address"),
)
CORE = (
    *("From", "To", "Cc", "Subject", "Date", "Reply-To", "Message-ID", "MIME-Version"),
    "Content-Type",
)

pytestmark = pytest.mark.skipif(OPENDKIM is None, reason="opendkim is not installed")

mails = st.one_of(letters.map(lambda letter: compose(letter, "seed")), finished_mails()).map(
    lambda mail: sign(mail, (RSA, ED25519), LETTER.date)
)


def signed_names(mail: bytes) -> set[bytes]:
    """Return the names in h=, in lower case."""
    (names,) = re.findall(rb"\bh=([^;]*);", mail)[:1]
    return set(re.sub(rb"\s", b"", names).lower().split(b":"))


def head_end(mail: bytes) -> int:
    """Return where the header ends."""
    return mail.index(b"\r\n\r\n") + 2


def signed_fields(mail: bytes) -> list[re.Match[bytes]]:
    """Return the fields that are in h=."""
    names = signed_names(mail)
    found = FIELD.finditer(mail, 0, head_end(mail))
    return [each for each in found if each[1].lower() in names]


def with_octet(draw: st.DrawFn, mail: bytes, places: list[int]) -> bytes:
    """Return the mail with another octet at one of the places."""
    place = draw(st.sampled_from(places))
    octet = draw(st.sampled_from([each for each in b"xyz~" if each != mail[place]]))
    return mail[:place] + bytes([octet]) + mail[place + 1 :]


@st.composite
def forgeries(draw: st.DrawFn) -> bytes:
    """Return a signed mail with one change that nobody on its way may make."""
    mail = draw(mails)
    fields = signed_fields(mail)
    how = draw(st.sampled_from(["value", "body", "more", "twice", "added", "removed"]))
    if how == "twice":
        oversigned = [each for each in fields if not each[1].lower().startswith(b"resent-")]
        return draw(st.sampled_from(oversigned)).group() + mail
    if how == "added":
        return f"{draw(st.sampled_from(CORE))}: x@example.com\r\n".encode() + mail
    if how == "removed":
        gone = draw(st.sampled_from(fields))
        return mail[: gone.start()] + mail[gone.end() :]
    if how == "more":
        return mail + draw(st.sampled_from([b".", b"\r\n<p>", b"\xff"])) + b"\r\n"
    within = [range(*each.span(2)) for each in fields]
    if how == "body":
        within = [range(head_end(mail) + 2, len(mail))]
    places = [place for span in within for place in span if mail[place] not in b" \t\r\n"]
    return with_octet(draw, mail, places) if places else mail + b"x\r\n"


@given(st.lists(mails, min_size=5, max_size=10))
@settings(max_examples=10)
def test_both_verifiers_accept_both_signatures_of_any_mail(batch: list[bytes]) -> None:
    assert verdicts(batch, RECORDS) == [BOTH] * len(batch)


@given(st.lists(forgeries(), min_size=10, max_size=20))
@settings(max_examples=8)
def test_one_change_anywhere_breaks_both_signatures_for_both_verifiers(batch: list[bytes]) -> None:
    assert verdicts(batch, RECORDS) == [set()] * len(batch)


@pytest.mark.parametrize("name", LISTED)
def test_a_second_field_of_a_list_breaks_the_signatures_and_a_first_one_does_not(name: str) -> None:
    field = f"{name}: <https://example.com/u>\r\n".encode()
    other = f"{name}: <https://example.net/evil>\r\n".encode()
    plain = compose(LETTER, "seed")
    signed = sign(field + plain, (RSA, ED25519), LETTER.date)
    body = signed.index(field)
    forged = [other + signed, signed[:body] + other + signed[body:], signed.replace(field, other)]
    # A list that passes a mail on, unchanged, adds its own; nothing vouches for that field then.
    passed_on = other + sign(plain, (RSA, ED25519), LETTER.date)
    assert verdicts([signed, *forged, passed_on], RECORDS) == [BOTH, set(), set(), set(), BOTH]
    assert name.lower().encode() not in signed_names(passed_on[len(other) :])


def corrupted(signature: bytes) -> bytes:
    """Return the field with one other character in its tag b=."""
    return re.sub(rb"(\bb=..)(.)", lambda it: it[1] + (b"B" if it[2] == b"A" else b"A"), signature)


@given(mails)
@settings(max_examples=8)
def test_each_signature_holds_without_the_other(mail: bytes) -> None:
    rsa, ed25519 = SIGNATURE.findall(mail)
    forms = [
        mail.replace(ed25519, b""),
        mail.replace(ed25519, corrupted(ed25519)),
        mail.replace(rsa, b""),
        mail.replace(rsa, corrupted(rsa)),
    ]
    by_rsa, by_ed25519 = {"dkimpy rsa", "opendkim rsa"}, {"dkimpy ed", "opendkim ed"}
    assert verdicts(forms, RECORDS) == [by_rsa, by_rsa, by_ed25519, by_ed25519]
