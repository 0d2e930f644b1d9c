"""Reading mails for people: right for honest ones, calm with hostile ones."""

from __future__ import annotations

from dataclasses import replace
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catchall.reading import Letter, printable, read_headers, read_letter
from app.mail.mime.compose import compose
from app.mail.mime.content import Attachment
from tests.app.mail.letters import LETTER
from tests.app.mail.mime.calendars import CALENDAR, INVITATION


def newsletter() -> bytes:
    mail = EmailMessage()
    mail["From"] = "Ōsaka Books <hello@example.com>"
    mail["Subject"] = "Ваш заказ 🚚"
    mail.set_content("plain\n")
    mail.add_alternative('<img src="cid:logo">', subtype="html")
    html = mail.get_body(("html",))
    assert html is not None
    html.add_related(b"\x89PNG", "image", "png", cid="<logo>", filename="logo.png")
    mail.add_attachment(
        b"%PDF", maintype="application", subtype="pdf", filename="Rechnung März.pdf"
    )
    return mail.as_bytes()


def test_bodies_and_parts_are_told_apart() -> None:
    letter = read_letter(newsletter())
    assert letter.text == "plain\n"
    assert letter.html == '<img src="cid:logo">\n'
    assert [part.filename for part in letter.parts] == ["logo.png", "Rechnung März.pdf"]
    assert [part.content_id for part in letter.parts] == ["logo", None]
    assert letter.parts[1].content == b"%PDF"


def test_encoded_words_are_decoded() -> None:
    letter = read_headers(newsletter())
    assert letter.header("subject") == "Ваш заказ 🚚"
    assert letter.header("From") == "Ōsaka Books <hello@example.com>"


def test_an_attached_text_is_an_attachment() -> None:
    raw = (
        b"Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nhi\r\n"
    )
    letter = read_letter(raw)
    assert letter.text is None
    assert letter.parts[0].filename == "a.txt"


def test_every_form_of_the_text_is_told_apart() -> None:
    amp = "<!doctype html><html ⚡4email>"
    letter = read_letter(
        compose(replace(LETTER, html="<p>", amp=amp, invitation=INVITATION), "seed")
    )
    assert (letter.html, letter.amp, letter.calendar) == ("<p>", amp, CALENDAR)
    assert [(part.filename, part.content_type) for part in letter.parts] == [
        ("invite.ics", "application/ics")
    ]


def test_a_mail_that_was_passed_on_is_one_part() -> None:
    inner = newsletter().replace(b"\n", b"\r\n")
    passed_on = Attachment("old.eml", "message/rfc822", b"X-A: b\r\n\r\nold\r\n")
    whole = Attachment("news.eml", "message/rfc822", inner)
    letter = read_letter(
        compose(replace(LETTER, text=None, attachments=(passed_on, whole)), "seed")
    )
    assert letter.text is None
    assert [part.filename for part in letter.parts] == ["old.eml", "news.eml"]
    assert letter.parts[0].content.replace(b"\r\n", b"\n") == b"X-A: b\n\nold\n"
    assert b"cid:logo" in letter.parts[1].content


def test_raw_utf_8_in_a_header_is_read() -> None:
    assert read_letter("Subject: schön\r\n\r\n".encode()).header("Subject") == "schön"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\n",
        b"no header at all",
        b"Subject: =?no-such-charset?B?/////w==?=\r\n\r\n",
        b"Subject: =?utf-8?B?not base64 at all?=\r\n\r\n",
        b"Subject: =?utf-8?B?A?=\r\n\r\n",
        b"Subject: \xff\xfe\x00\r\n\r\n",
        b"Content-Type: text/plain; charset=no-such\r\n\r\nhi",
        b"Content-Type: text/plain; charset*=x'\r\n\r\nhi",
        b"Content-Type: text/plain; charset=\xff\r\n\r\nhi",
        b"Content-Type: text/plain; charset=hex\r\n\r\nhi",
        b"Content-Type: text/html; charset=utf-7\r\n\r\n+2AA-",
        b"Content-Type: ;;;=\r\n\r\nhi",
        b"Content-Type: multipart/mixed\r\n\r\nhi",
        b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n\r\n----",
        b"Content-Transfer-Encoding: base64\r\n\r\n\xff!!!",
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: uuencode\r\n\r\nbegin\r\n",
        b"Content-Disposition: attachment; filename*0*=x'y; filename*=''%ff\r\n\r\nhi",
        b"Content-Disposition: attachment; filename*999999999999999999999=a\r\n\r\nhi",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n\r\nx\r\n" * 5_000,
        b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
            for n in range(2_000)
        ),
        b"X: " + b"=?utf-8?q?a?= " * 50_000 + b"\r\n\r\n",
        b"X: y\r\n" * 50_000 + b"\r\n",
    ],
    ids=range(23),
)
def test_nothing_in_a_mail_raises(raw: bytes) -> None:
    letter = read_letter(raw)
    assert isinstance(read_headers(raw), Letter)
    shown = [*(value for field in letter.headers for value in field), letter.text, letter.html]
    for text in shown:
        (text or "").encode()


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"Content-Type: multipart/x; boundary=b\r\n\r\n"]),
)
def test_arbitrary_bytes_are_read(raw: bytes, beginning: bytes) -> None:
    letter = read_letter(beginning + raw)
    for name, value in letter.headers:
        f"{name}: {value}".encode()


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..\\a.txt", "_a.txt"),
        ("...", "unnamed"),
        ("", "unnamed"),
        ("a\x00b.exe", "a\ufffdb.exe"),
    ],
)
def test_file_names_lead_nowhere(told: str, shown: str) -> None:
    raw = f'Content-Disposition: attachment; filename="{told}"\r\n\r\nx'.replace("\\", "\\\\")
    assert read_letter(raw.encode()).parts[0].filename == shown


@pytest.mark.parametrize("character", ["\x1b", "\r", "\x7f", "\x9b", "\u202e", "\u2066", "\ud800"])
def test_what_could_break_a_terminal_is_replaced(character: str) -> None:
    assert printable(f"a{character}b") == "a\ufffdb"
    assert printable("a\tb\nc") == "a\tb\nc"
