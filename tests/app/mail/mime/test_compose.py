"""Composed mails: read again by the standard library, and looked at octet by octet."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import compat32, default

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.mail.address import Address, Mailbox
from app.mail.mime.compose import compose
from app.mail.mime.content import Attachment, Content
from app.mail.mime.filenames import safe_filename
from tests.app.mail.letters import (
    LETTER,
    RECIPIENT,
    SCRIPTS,
    body_of,
    body_texts,
    canonical,
    filenames,
    letters,
    reread,
)
from tests.app.mail.mime.calendars import CALENDAR

LOGO = Attachment("logo.png", "image/png", b"\x89PNG", content_id="logo@example.com")
SHOWN = '<img src="cid:logo@example.com">'
REPORT = Attachment("report.pdf", "application/pdf", b"%PDF" + bytes(range(256)) * 4)

STRAY = [
    "\n.\n",
    "\n.\r\n",
    "\r.\r",
    "\r\n.\n",
    "\r\n.\r",
    "\r.\r\n",
    "\r\n\0.\r\n",
    "\r\n.\r\n",
    "\r",
    "\n",
    "\n\r",
]


def shape(part: EmailMessage) -> str:
    """Return the tree of media types, as in "mixed(plain, pdf)"."""
    inner = [shape(child) for child in part.iter_parts() if isinstance(child, EmailMessage)]
    return part.get_content_subtype() + (f"({', '.join(inner)})" if inner else "")


@pytest.mark.parametrize(
    ("text", "html", "attachments", "expected"),
    [
        ("a", None, (), "plain"),
        (None, "a", (), "html"),
        (None, None, (), "plain"),
        ("a", "a", (), "alternative(plain, html)"),
        ("a", SHOWN, (LOGO,), "alternative(plain, related(html, png))"),
        (None, SHOWN, (LOGO,), "related(html, png)"),
        ("a", "a", (LOGO,), "mixed(alternative(plain, html), png)"),
        ("a", None, (REPORT,), "mixed(plain, pdf)"),
        ("a", None, (LOGO,), "mixed(plain, png)"),
        (None, None, (REPORT,), "pdf"),
        (None, None, (REPORT, LOGO), "mixed(pdf, png)"),
        ("a", SHOWN, (REPORT, LOGO), "mixed(alternative(plain, related(html, png)), pdf)"),
    ],
)
def test_parts_stand_where_readers_look_for_them(
    text: str | None, html: str | None, attachments: tuple[Attachment, ...], expected: str
) -> None:
    letter = replace(LETTER, text=text, html=html, attachments=attachments)
    assert shape(reread(letter)) == expected


def test_the_whole_of_a_plain_mail() -> None:
    assert compose(LETTER, "seed") == (
        b"Date: Tue, 03 Feb 2026 04:05:06 +0000\r\n"
        b"From: shop@example.com\r\n"
        b"To: jane@example.net\r\n"
        b"Subject: Your parcel\r\n"
        b"Message-ID: <0192f0c1@example.com>\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"It is on its way.\r\n"
    )


@given(letters)
def test_any_letter_is_canonical_and_has_its_headers_once(letter: Content) -> None:
    octets = compose(letter, "seed")
    assert octets.isascii()
    assert octets.endswith(b"\r\n")
    assert octets.count(b"\r") == octets.count(b"\n") == octets.count(b"\r\n")
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    message = message_from_bytes(octets, policy=default)
    assert not message.defects
    expected = Counter(
        ["Date", "From", "Subject", "Message-ID", "X-Note", "MIME-Version", "Content-Type"]
    )
    expected["To"] = bool(letter.to) or not letter.cc
    expected["Cc"] = bool(letter.cc)
    expected.update(name for name, _ in letter.headers[:-1])
    found = Counter(message.keys())
    assert found - Counter(["Content-Transfer-Encoding", "Content-Disposition"]) == +expected


@given(letters)
def test_any_letter_comes_out_as_it_went_in(letter: Content) -> None:
    message = reread(letter)
    assert message["Subject"] == letter.subject
    for name, value in letter.headers[:-1]:
        assert message[name] == value
    for kind, text in (("plain", letter.text), ("html", letter.html)):
        if text is not None:
            assert body_of(message, kind).removesuffix("\r\n") == canonical(text).removesuffix(
                "\r\n"
            )
    read = [
        (part.get_filename(), part.get_payload(decode=True))
        for part in message.walk()
        if part.get_content_disposition() == "attachment"
    ]
    if letter.invitation:
        assert read.pop() == ("invite.ics", canonical(CALENDAR).encode())
    assert read == [(safe_filename(file.filename), file.content) for file in letter.attachments]


@given(body_texts)
@example(SCRIPTS * 40)
@example("a" * 1_000)
@example(("word " * 200 + "\n") * 5)
@example("x" * 75 + " \n" + "x" * 75 + "\t")
@example("\n" + "ä " + "From " * 100)
@example("".join(map(chr, range(0x20))))
def test_a_text_comes_out_as_it_went_in(text: str) -> None:
    letter = replace(LETTER, text=text, html=text)
    octets = compose(letter, "seed")
    message = message_from_bytes(octets, policy=default)
    assert body_of(message, "plain") == canonical(text)
    assert body_of(message, "html") == canonical(text)
    assert max(map(len, octets.split(b"\r\n"))) <= 78
    assert not any(line.startswith(b"From ") for line in octets.split(b"\r\n"))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain\n", "7bit"),
        ("", "7bit"),
        ("tab\there", "7bit"),
        ("=" * 70 + "\n", "7bit"),
        ("x" * 78, "7bit"),
        ("x" * 79, "quoted-printable"),
        ("Grüße an alle, die das hier lesen", "quoted-printable"),
        ("From here on", "quoted-printable"),
        ("a bell\a in a line of text", "quoted-printable"),
        ("Привет", "base64"),
        ("日本語", "base64"),
        ("\0\1\2", "base64"),
    ],
)
def test_the_encoding_fits_the_text(text: str, encoding: str) -> None:
    assert reread(replace(LETTER, text=text))["Content-Transfer-Encoding"] == encoding


@pytest.mark.parametrize("stray", STRAY)
@pytest.mark.parametrize(
    "around", ["plain {} text", "Grüße {} text", "Привет {} привет", "{}", "x" * 2000 + "{}"]
)
def test_nothing_in_a_body_can_end_the_mail_early(stray: str, around: str) -> None:
    text = around.format(stray)
    smuggled = f"{text}MAIL FROM:<x@y.example>{stray}"
    octets = compose(replace(LETTER, text=smuggled, html=smuggled), "seed")
    assert octets.count(b"\r") == octets.count(b"\n") == octets.count(b"\r\n")
    assert b"\0" not in octets
    # Transparency (RFC 5321 §4.5.2) then leaves one end only.
    stuffed = octets.replace(b"\r\n.", b"\r\n..")
    assert b"\r\n.\r\n" not in stuffed
    assert (
        body_of(reread(replace(LETTER, text=smuggled)), "plain").rstrip()
        == canonical(smuggled).rstrip()
    )


@given(filenames)
@example("Økonomi.xlsx")
@example(SCRIPTS)
@example("日本語" * 60 + ".pdf")
@example("a" * 250 + ".txt")
@example('quote".pdf')
@example("back\\slash.pdf")
@example("50% off's.pdf")
@example("=?utf-8?q?x?=.pdf")
@example(" spaces .pdf ")
@example("../../etc/passwd")
def test_a_file_name_comes_out_as_it_went_in(filename: str) -> None:
    letter = replace(LETTER, attachments=(replace(REPORT, filename=filename),))
    (part,) = reread(letter).iter_attachments()
    assert part.get_filename() == safe_filename(filename)
    old = list(message_from_bytes(compose(letter, "seed"), policy=compat32).walk())[-1]
    assert old.get_filename() == safe_filename(filename)
    name = str(old.get_param("name")).replace("\r\n", "")
    assert str(make_header(decode_header(name))) == safe_filename(filename)
    assert max(map(len, compose(letter, "seed").split(b"\r\n"))) <= 78


@given(st.binary(max_size=2000))
def test_an_attachment_comes_out_as_it_went_in(content: bytes) -> None:
    letter = replace(LETTER, attachments=(replace(REPORT, content=content),))
    (part,) = reread(letter).iter_attachments()
    assert part.get_payload(decode=True) == content
    assert part.get_content_type() == "application/pdf"
    assert part.get_content_disposition() == "attachment"


def test_images_are_shown_inline_under_their_content_id() -> None:
    message = reread(replace(LETTER, html=SHOWN, attachments=(LOGO,)))
    (image,) = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert image["Content-ID"] == "<logo@example.com>"
    assert image.get_content_disposition() == "inline"
    (related,) = [part for part in message.walk() if part.get_content_type() == "multipart/related"]
    assert related.get_param("type") == "text/html"


def test_boundaries_come_from_the_seed_and_differ_by_level() -> None:
    letter = replace(LETTER, html=SHOWN, attachments=(LOGO, REPORT))
    assert compose(letter, "seed") == compose(letter, "seed")
    assert compose(letter, "seed") != compose(letter, "other")
    boundaries = [part.get_boundary() for part in reread(letter).walk() if part.is_multipart()]
    assert len(set(boundaries)) == 3
    assert all(boundary and len(boundary) <= 70 for boundary in boundaries)


def test_a_text_that_holds_the_boundary_gets_another_one() -> None:
    first = reread(replace(LETTER, html="<p>")).get_boundary()
    forged = f"--{first}\r\nContent-Type: text/plain\r\n\r\nforged\r\n--{first}--\r\n"
    message = reread(replace(LETTER, text=forged, html="<p>"))
    assert message.get_boundary() != first
    assert body_of(message, "plain") == forged
    assert len(list(message.iter_parts())) == 2


def test_a_mail_to_nobody_visible_says_so() -> None:
    assert reread(replace(LETTER, to=()))["To"] == "undisclosed-recipients:;"
    assert "To" not in reread(replace(LETTER, to=(), cc=(RECIPIENT,)))


def test_reply_to_and_cc_name_their_mailboxes() -> None:
    support = Mailbox("Support, 24/7", Address("help", "example.com"))
    message = reread(replace(LETTER, cc=(RECIPIENT, support), reply_to=(support,)))
    assert [address.addr_spec for address in message["Cc"].addresses] == [
        "jane@example.net",
        "help@example.com",
    ]
    assert message["Reply-To"].addresses[0].display_name == "Support, 24/7"


@given(letters)
def test_nothing_of_bcc_is_ever_written(letter: Content) -> None:
    message = message_from_bytes(compose(letter, "seed"), policy=compat32)
    for part in message.walk():
        assert not [name for name, _ in part.items() if "bcc" in name.lower()]
    assert not [field for field in Content.__slots__ if "bcc" in field.lower()]


def test_each_server_on_the_way_is_told_that_tls_is_optional() -> None:
    assert reread(LETTER)["TLS-Required"] is None
    assert reread(replace(LETTER, is_tls_optional=True))["TLS-Required"] == "No"
