"""DKIM signatures: two foreign verifiers have to accept them, and to notice every change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from app.mail.address import Mailbox
from app.mail.dkim import Algorithm, DkimKeyError, generate_pem, load_key, public_record, sign
from app.mail.mime.compose import compose
from app.mail.mime.content import Content
from tests.app.mail.letters import LETTER, letters, utf8_mailboxes
from tests.app.mail.verifiers import OPENDKIM, dkimpy_accepts, opendkim_results

RSA = load_key(generate_pem(Algorithm.RSA), "example.com", "rsa2026")
ED25519 = load_key(generate_pem(Algorithm.ED25519), "example.com", "ed2026")
KEYS = (RSA, ED25519)
RECORDS = {f"{key.selector}._domainkey.{key.domain}": public_record(key) for key in KEYS}
NOW = datetime.now(UTC)

needs_opendkim = pytest.mark.skipif(OPENDKIM is None, reason="opendkim is not installed")


def signed(letter: Content) -> bytes:
    return sign(compose(letter, "seed"), KEYS, NOW)


def signature_tags(message: bytes) -> list[dict[str, str]]:
    fields = re.findall(rb"DKIM-Signature:((?:[^\r]|\r\n )*)\r\n", message)
    return [
        dict(tag.strip().split("=", 1) for tag in re.sub(r"\s", "", field.decode()).split(";"))
        for field in fields
    ]


def both_accept(messages: Sequence[bytes]) -> list[bool]:
    """Tell for each message whether both verifiers accept both signatures."""
    dkimpy = [
        all(dkimpy_accepts(message, index, RECORDS) for index in range(2)) for message in messages
    ]
    if OPENDKIM is None:
        return dkimpy
    with TemporaryDirectory() as folder:
        results = opendkim_results(messages, RECORDS, Path(folder))
    opendkim = [result == {"rsa2026": "pass", "ed2026": "pass"} for result in results]
    assert opendkim == dkimpy
    return dkimpy


@given(letters)
def test_dkimpy_accepts_both_signatures_of_any_letter(letter: Content) -> None:
    message = signed(letter)
    assert dkimpy_accepts(message, 0, RECORDS)
    assert dkimpy_accepts(message, 1, RECORDS)


@needs_opendkim
@given(st.lists(letters, min_size=1, max_size=8))
@settings(max_examples=25)
def test_opendkim_accepts_both_signatures_of_any_letter(batch: list[Content]) -> None:
    with TemporaryDirectory() as folder:
        results = opendkim_results([signed(letter) for letter in batch], RECORDS, Path(folder))
    assert results == [{"rsa2026": "pass", "ed2026": "pass"}] * len(batch)


@given(st.lists(utf8_mailboxes, min_size=3, max_size=3))
@settings(max_examples=25)
def test_addresses_beyond_ascii_are_signed_as_the_octets_that_they_are(
    boxes: list[Mailbox],
) -> None:
    sender, *others = boxes
    message = signed(replace(LETTER, sender=sender, to=tuple(others), reply_to=(sender,)))
    assert message.count(str(sender.address).encode()) >= 2
    assert both_accept([message]) == [True]
    # RFC 8616 §5: domain and selector are A-labels.
    places = [(tags["d"], tags["s"]) for tags in signature_tags(message)]
    assert places == [("example.com", "rsa2026"), ("example.com", "ed2026")]
    assert both_accept([message.replace("ü".encode(), b"u", 1)]) == [False]


HEAD = b"From: a@example.com\r\nSubject:   spaces\t and\r\n \t folds  \r\nX-Empty:\r\n\r\n"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"\r\n\r\n\r\n",
        b" \r\n",
        b"a\r\n",
        b"a \t \r\n\r\n \r\n",
        b"  a\t\tb  \r\n\r\nc\r\n",
        b" " * 900 + b"a\r\n",
        b"\r\n\r\na\r\n",
    ],
)
def test_white_space_and_empty_lines_are_canonicalised_as_verifiers_do(body: bytes) -> None:
    assert both_accept([sign(HEAD + body, KEYS, NOW)]) == [True]


@pytest.mark.parametrize("size", [128 * 1024 - 4, 128 * 1024 - 2, 128 * 1024, 400_000])
@pytest.mark.parametrize("filling", [b"\r\n", b" \t\r\n", b"a  b \r\n", b"ab \r\n\r\n", b"x"])
@pytest.mark.parametrize("end", [b"", b"\r\n", b"\t \r\n\r\n", b"\r\nlast"])
def test_a_large_body_is_canonicalised_as_a_small_one(
    size: int, filling: bytes, end: bytes
) -> None:
    body = (filling * (size // len(filling) + 1))[:size].rstrip(b"\r\n") + end
    # SMTP ends the last line where nobody else did.
    arrived = sign(HEAD + body, KEYS[:1], NOW) + b"\r\n" * (not end.endswith(b"\r\n"))
    assert dkimpy_accepts(arrived, 0, RECORDS)


def test_the_line_end_that_smtp_adds_to_the_last_line_breaks_nothing() -> None:
    assert both_accept([sign(HEAD + b"a", KEYS, NOW) + b"\r\n"]) == [True]


def changed_letters() -> dict[str, bytes]:
    letter = replace(LETTER, headers=(("List-Unsubscribe", "<https://example.com/u>"),))
    message = signed(letter)
    body = message.index(b"\r\n\r\n") + 4
    swap = {
        "subject": (b"Subject: Your", b"Subject: Their"),
        "sender": (b"From: shop@", b"From: sh0p@"),
        "recipient": (b"To: jane@", b"To: june@"),
        "date": (b"03 Feb", b"04 Feb"),
        "unsubscribe": (b"example.com/u", b"example.com/v"),
        "content type": (b"text/plain", b"text/html"),
        "message id": (b"<0192f0c1", b"<0192f0c2"),
    }
    changed = {what: message.replace(old, new) for what, (old, new) in swap.items()}
    added = [
        b"From: x@example.com",
        b"To: x@example.com",
        b"Cc: x@example.com",
        b"Reply-To: x@example.com",
        b"Subject: x",
        b"Date: Tue, 03 Feb 2026 04:05:06 +0000",
        b"Message-ID: <x@example.com>",
    ]
    changed |= {f"another {line.decode()}": line + b"\r\n" + message for line in added}
    changed |= {
        "body octet": message[:body] + b"X" + message[body + 1 :],
        "body end": message + b"more\r\n",
        "body space": message.replace(b"on its way", b"onits way"),
        "signatures": re.sub(rb" b=(...)", lambda found: b" b=" + found[1].swapcase(), message),
    }
    return changed


@pytest.mark.parametrize("what", sorted(changed_letters()))
def test_every_change_breaks_the_signatures(what: str) -> None:
    message = changed_letters()[what]
    assert both_accept([message]) == [False]


@given(letters, st.data())
def test_a_changed_octet_of_the_body_breaks_the_signatures(
    letter: Content, data: st.DataObject
) -> None:
    message = signed(letter)
    places = [
        found.start()
        for found in re.finditer(rb"[!-~]", message)
        if found.start() > message.index(b"\r\n\r\n")
    ]
    if not places:
        return
    place = data.draw(st.sampled_from(places))
    octet = data.draw(st.sampled_from(b"xyz"))
    forged = (
        message[:place]
        + bytes([octet if octet != message[place] else octet - 1])
        + message[place + 1 :]
    )
    assert not dkimpy_accepts(forged, 0, RECORDS)
    assert not dkimpy_accepts(forged, 1, RECORDS)


def test_white_space_that_relays_may_touch_breaks_nothing() -> None:
    message = signed(replace(LETTER, subject="Your parcel"))
    touched = message.replace(b"Subject: Your parcel", b"SUBJECT:\tYour  parcel ") + b"\r\n\r\n"
    assert both_accept([touched]) == [True]


def test_the_tags_say_what_was_signed() -> None:
    headers = (
        ("List-Unsubscribe", "<https://example.com/u>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("In-Reply-To", "<a@b.example>"),
        ("References", "<a@b.example>"),
        ("Feedback-ID", "a:b:c"),
        ("X-Note", "not signed"),
    )
    message = signed(replace(LETTER, headers=headers))
    rsa_tags, ed_tags = signature_tags(message)
    assert list(rsa_tags) == ["v", "a", "c", "d", "s", "t", "bh", "h", "b"]
    assert rsa_tags["a"] == "rsa-sha256"
    assert ed_tags["a"] == "ed25519-sha256"
    assert rsa_tags["c"] == "relaxed/relaxed"
    assert rsa_tags["t"] == str(int(NOW.timestamp()))
    assert rsa_tags["bh"] == ed_tags["bh"]
    names = rsa_tags["h"].split(":")
    assert {name: names.count(name) for name in names} == {
        "From": 2,
        "To": 2,
        "Cc": 1,
        "Subject": 2,
        "Date": 2,
        "Reply-To": 1,
        "Message-ID": 2,
        "MIME-Version": 2,
        "Content-Type": 2,
        "Content-Transfer-Encoding": 2,
        "In-Reply-To": 2,
        "References": 2,
        "List-Unsubscribe": 2,
        "List-Unsubscribe-Post": 2,
        "Feedback-ID": 2,
    }
    assert max(map(len, message.split(b"\r\n"))) <= 78
    assert both_accept([message]) == [True]


def test_rsa_stands_on_top_for_verifiers_that_read_no_further() -> None:
    message = sign(compose(LETTER, "seed"), (ED25519, RSA), NOW)
    assert [tags["a"] for tags in signature_tags(message)] == ["rsa-sha256", "ed25519-sha256"]
    assert both_accept([message]) == [True]


def test_the_time_of_a_signature_is_never_in_the_future() -> None:
    late = NOW.replace(microsecond=999_999)
    (tags, _) = signature_tags(sign(compose(LETTER, "seed"), KEYS, late))
    assert int(tags["t"]) <= late.timestamp()


def test_who_sends_a_mail_again_may_sign_below_what_the_next_one_adds() -> None:
    again = b"Resent-From: a@example.com\r\nResent-Date: Tue, 03 Feb 2026 04:05:06 +0000\r\n"
    message = sign(again + compose(LETTER, "seed"), KEYS, NOW)
    assert signature_tags(message)[0]["h"].count("Resent-From") == 1
    forwarded = again.replace(b"a@", b"b@") + message
    changed = message.replace(b"Resent-From: a@", b"Resent-From: b@")
    assert both_accept([message, forwarded, changed]) == [True, True, False]


def test_signing_only_adds_fields_in_front() -> None:
    plain = compose(LETTER, "seed")
    assert signed(LETTER).endswith(plain)
    assert sign(plain, (), NOW) == plain
    assert sign(plain, KEYS, NOW) == sign(plain, KEYS, NOW)


def pem_of(secret: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    return secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


def test_keys_are_checked_when_they_are_loaded() -> None:
    pem = generate_pem(Algorithm.ED25519)
    assert load_key(pem, "Example.COM", "S1.Mail").domain == "example.com"
    for domain, selector in (
        ("example.com;", "s"),
        ("example", "s"),
        ("example.com", "s; l=0"),
        ("example.com", ""),
    ):
        with pytest.raises(DkimKeyError, match="no place"):
            load_key(pem, domain, selector)
    with pytest.raises(DkimKeyError, match="cannot be read"):
        load_key(b"no key", "example.com", "s")
    with pytest.raises(DkimKeyError, match="cannot be read"):
        load_key(pem_of(ec.generate_private_key(ec.SECP256R1()), b"secret"), "example.com", "s")
    with pytest.raises(DkimKeyError, match="RSA or Ed25519"):
        load_key(pem_of(ec.generate_private_key(ec.SECP256R1())), "example.com", "s")


def test_old_rsa_keys_sign_and_others_are_refused(tmp_path: Path) -> None:
    old = load_key(pem_of(rsa.generate_private_key(65537, 1024)), "example.com", "old")
    message = sign(compose(LETTER, "seed"), [old], NOW)
    records = {"old._domainkey.example.com": public_record(old)}
    assert dkimpy_accepts(message, 0, records)
    if OPENDKIM:
        assert opendkim_results([message], records, tmp_path) == [{"old": "pass"}]


def test_a_key_never_shows_its_secret() -> None:
    assert "PRIVATE" not in repr(RSA)
    assert "secret" not in repr(RSA)
    assert public_record(RSA).startswith("v=DKIM1; k=rsa; p=MII")
    assert re.fullmatch(r"v=DKIM1; k=ed25519; p=[A-Za-z0-9+/]{43}=", public_record(ED25519))
