"""Header fields on the wire: what goes in comes out, and every line is as the RFCs ask."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email import message_from_bytes, message_from_string
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import SMTPUTF8, compat32
from email.utils import getaddresses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.mail.address import Address, Mailbox, parse_mailbox
from app.mail.fields import date_field, mailbox_field, text_field
from app.mail.headers import HeaderError
from app.mail.mime.compose import compose
from app.mail.mime.content import Content
from tests.app.mail.letters import (
    LETTER,
    RECIPIENT,
    SCRIPTS,
    header_texts,
    names,
    reread,
    utf8_mailboxes,
)

ENCODED_WORD = re.compile(r"=\?utf-8\?[bq]\?[!->@-~]*\?=")


def read_old_style(content: Content, name: str) -> str:
    """Read a header as programs do that only know RFC 2047."""
    value = message_from_bytes(compose(content, "seed"), policy=compat32)[name]
    return str(make_header(decode_header(value.replace("\r\n", ""))))


def assert_well_folded(field: str) -> None:
    assert field.endswith("\r\n")
    lines = field.removesuffix("\r\n").split("\r\n")
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert line.strip(" ")
        assert len(line) <= (76 if "=?utf-8?" in line else 998)
    assert all(line.startswith(" ") for line in lines[1:])


@given(header_texts)
@example(SCRIPTS * 3)
@example(" leading and trailing ")
@example("two  spaces   three")
@example("x" * 2000)
@example("a " * 500)
@example(" " * 300)
@example("")
def test_a_subject_comes_out_as_it_went_in(subject: str) -> None:
    letter = replace(LETTER, subject=subject, headers=(("X-Note", subject),))
    message = reread(letter)
    assert message["Subject"] == subject
    assert message["X-Note"] == subject
    assert read_old_style(letter, "Subject") == subject


@given(header_texts)
def test_text_fields_are_well_folded(text: str) -> None:
    field = text_field("Subject", text)
    assert_well_folded(field)
    for word in re.findall(r"=\?utf-8\?\S*", field):
        assert len(word) <= 75
        assert ENCODED_WORD.fullmatch(word)
        # Each decodes on its own: no character is split between two.
        str(make_header(decode_header(word)))


@given(names)
@example("Jane Doe")
@example("Jane Q. Public")
@example("Acme, Inc.")
@example('Jane "JD" \\ Doe')
@example("a@b.example")
@example("התיאטרון הק אמרי")
@example("two  spaces")
@example(SCRIPTS * 2)
def test_a_display_name_comes_out_as_it_went_in(name: str) -> None:
    mailbox = Mailbox(name, Address("jane", "example.com"))
    field = mailbox_field("To", (mailbox, RECIPIENT, mailbox))
    assert_well_folded(field)
    wire = getaddresses([field.removeprefix("To:").replace("\r\n", "")])
    read = [(str(make_header(decode_header(shown))), address) for shown, address in wire]
    named = (name, "jane@example.com")
    assert read == [named, ("", "jane@example.net"), named]


@given(names)
@example("Jane Doe")
@example('Jane "JD" \\ Doe')
@example("Grüße")
def test_a_display_name_is_read_by_parsers_of_structured_fields_too(name: str) -> None:
    mailbox = Mailbox(name, Address("jane", "example.com"))
    letter = replace(LETTER, sender=mailbox, to=(mailbox, RECIPIENT))
    message = reread(letter)
    (sender,) = message["From"].addresses
    assert sender.addr_spec == "jane@example.com"
    assert [address.addr_spec for address in message["To"].addresses] == [
        "jane@example.com",
        "jane@example.net",
    ]
    # This parser keeps the white space between two encoded words, against RFC 2047 §6.2, and
    # merges other white space.
    if mailbox_field("From", [mailbox]).count("=?utf-8?") <= 1:
        assert sender.display_name.split() == name.split()


@given(names)
def test_encoded_words_never_stand_inside_quotation_marks(name: str) -> None:
    field = mailbox_field("From", [Mailbox(name, Address("jane", "example.com"))])
    for quoted in re.findall(r'"(?:[^"\\]|\\.)*"', field):
        assert "=?" not in quoted


def test_plain_names_stay_readable() -> None:
    assert (
        mailbox_field("From", [parse_mailbox("Jane Doe <a@b.example>")])
        == "From: Jane Doe <a@b.example>\r\n"
    )
    assert (
        mailbox_field("From", [parse_mailbox("J. Doe <a@b.example>")])
        == 'From: "J. Doe" <a@b.example>\r\n'
    )
    assert mailbox_field("From", [parse_mailbox("a@b.example")]) == "From: a@b.example\r\n"
    assert (
        mailbox_field("From", [parse_mailbox("Grün <a@b.example>")])
        == "From: =?utf-8?q?Gr=C3=BCn?= <a@b.example>\r\n"
    )


def test_many_recipients_are_folded_between_addresses() -> None:
    mailboxes = tuple(
        Mailbox("", Address(f"recipient{number}", "example.com")) for number in range(50)
    )
    field = mailbox_field("To", mailboxes)
    assert all(len(line) <= 78 for line in field.split("\r\n"))
    read = reread(replace(LETTER, to=mailboxes))["To"].addresses
    assert [address.addr_spec for address in read] == [
        str(mailbox.address) for mailbox in mailboxes
    ]


@given(st.lists(utf8_mailboxes, min_size=1, max_size=6))
@example([Mailbox("", Address("漢" * 21, f"{'a' * 63}.{'b' * 63}.{'c' * 57}.example"))] * 3)
def test_addresses_beyond_ascii_stand_in_utf8_beside_names_in_encoded_words(
    boxes: list[Mailbox],
) -> None:
    field = mailbox_field("To", boxes)
    wire = getaddresses([field.removeprefix("To:").replace("\r\n", "")])
    assert [(str(make_header(decode_header(name))), each) for name, each in wire] == [
        (box.name, str(box.address)) for box in boxes
    ]
    for line in field.split("\r\n"):
        # RFC 6532 §3.4: the SHOULD counts characters, the MUST octets.
        assert len(line) <= 78 or line.removeprefix("To:").strip(" ,<>") in {
            str(box.address) for box in boxes
        }
        assert len(line.encode()) <= 998
    for box in boxes:
        field = field.replace(str(box.address), "")
    assert field.isascii()


@given(utf8_mailboxes)
def test_an_address_beyond_ascii_is_never_an_encoded_word(box: Mailbox) -> None:
    letter = replace(LETTER, sender=box, to=(box, RECIPIENT), cc=(box,), reply_to=(box,))
    octets = compose(letter, "seed")
    head, _, body = octets.partition(b"\r\n\r\n")
    assert body.isascii()
    message = message_from_string(octets.decode(), policy=SMTPUTF8)
    for name in ("From", "To", "Cc", "Reply-To"):
        assert message[name].addresses[0].addr_spec == str(box.address)
    assert head.count(str(box.address).encode()) == 4
    # All but the four fields with addresses is ASCII as ever.
    assert head.replace(str(box.address).encode(), b"").isascii()


def test_fields_with_a_grammar_are_folded_but_never_encoded() -> None:
    url = f"<https://example.com/unsubscribe?token={'0123456789' * 30}&x==?y?=>"
    value = f"{url}, <mailto:unsubscribe@example.com>"
    field = text_field("List-Unsubscribe", value)
    assert "=?utf-8?" not in field
    assert field.replace("\r\n", "") == f"List-Unsubscribe: {value}"
    references = " ".join(f"<{number}@example.com>" for number in range(40))
    field = text_field("References", references)
    assert all(len(line) <= 78 for line in field.split("\r\n"))
    assert field.replace("\r\n", "") == f"References: {references}"


@pytest.mark.parametrize("hostile", ["a\r\nBcc: x@example.com", "a\nb", "a\rb", "a\0b", "\ud800"])
def test_the_writers_themselves_refuse_what_would_start_a_line(hostile: str) -> None:
    with pytest.raises(HeaderError):
        text_field("X-Note", hostile)
    with pytest.raises(HeaderError):
        mailbox_field("To", [Mailbox("", Address(hostile, "example.com"))])
    with pytest.raises(HeaderError):
        mailbox_field("To", [Mailbox("", Address("jane", hostile))])


def test_dates_are_written_in_utc() -> None:
    date = datetime(2026, 1, 1, 0, 30, 5, tzinfo=timezone(timedelta(hours=2)))
    assert date_field(date) == "Date: Wed, 31 Dec 2025 22:30:05 +0000\r\n"
    message: EmailMessage = reread(replace(LETTER, date=date))
    assert message["Date"].datetime == date
