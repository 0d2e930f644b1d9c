"""The forms that a text may have beside plain and HTML: AMP, invitations, images inside, mails passed on."""

from __future__ import annotations

from dataclasses import replace
from email.message import EmailMessage, Message

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.mail.mime.compose import compose
from app.mail.mime.content import Attachment, ContentError
from tests.app.mail.letters import LETTER, SCRIPTS, body_texts, canonical, reread
from tests.app.mail.mime.calendars import CALENDAR, INVITATION

AMP = "<!doctype html>\n<html ⚡4email data-css-strict><head></head><body>Hi</body></html>\n"
LOGO = Attachment("logo.png", "image/png", b"\x89PNG", content_id="logo@example.com")
MAIL = b"Subject: inner\r\nFrom: a@b.example\r\n\r\nOld news.\r\n.\r\n"


def kinds(message: EmailMessage) -> list[str]:
    return [part.get_content_type() for part in message.walk() if not part.is_multipart()]


def payload(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def test_amp_goes_before_the_html_and_the_invitation_comes_last() -> None:
    letter = replace(LETTER, html="<p>", amp=AMP, invitation=INVITATION)
    message = reread(letter)
    alternative = next(message.iter_parts())
    assert alternative.get_content_type() == "multipart/alternative"
    assert kinds(message) == [
        *["text/plain", "text/x-amp-html", "text/html", "text/calendar"],
        "application/ics",
    ]


def test_an_invitation_says_what_it_asks_for_and_is_attached_too() -> None:
    message = reread(replace(LETTER, invitation=replace(INVITATION, filename="Übergabe.ics")))
    alternative, attached = message.iter_parts()
    invited = list(alternative.walk())[-1]
    assert invited["Content-Type"] == 'text/calendar; charset="utf-8"; method="REQUEST"'
    assert invited["Content-Disposition"] is None
    assert payload(invited).decode() == canonical(CALENDAR)
    assert attached.get_content_type() == "application/ics"
    assert attached.get_content_disposition() == "attachment"
    assert attached.get_filename() == "Übergabe.ics"
    assert payload(attached).decode() == canonical(CALENDAR)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=200))
@example(SCRIPTS * 10)
@example("x" * 2_000)
@example(" " * 300)
def test_a_calendar_comes_out_as_it_went_in(summary: str) -> None:
    content = CALENDAR.replace("SUMMARY:", f"SUMMARY:{summary}")
    message = reread(replace(LETTER, invitation=replace(INVITATION, content=content)))
    read = [payload(part) for part in message.walk() if not part.is_multipart()]
    assert read[1:] == [canonical(content).encode()] * 2


@given(body_texts)
def test_amp_comes_out_as_it_went_in(text: str) -> None:
    message = reread(replace(LETTER, html="<p>", amp=AMP + text))
    (part,) = [part for part in message.walk() if part.get_content_type() == "text/x-amp-html"]
    assert payload(part).decode().removesuffix("\r\n") == canonical(AMP + text).removesuffix("\r\n")
    assert part.get_content_charset() == "utf-8"


@pytest.mark.parametrize(
    "start",
    [
        "<!doctype html><html ⚡4email>",
        "<!DOCTYPE HTML>\r\n<HTML amp4email lang=en>",
        '<!-- a -->\n<!doctype html>\n<html lang="en" ⚡4email data-css-strict>',
    ],
)
def test_amp_is_taken_as_its_readers_take_it(start: str) -> None:
    assert replace(LETTER, html="", amp=start).amp == start


@pytest.mark.parametrize(
    "start",
    [
        *["", "Hello", "<html ⚡4email>", "<!doctype html><html>", "<!doctype html><html ⚡>"],
        *["<!doctype html><html amp4emails>", "x<!doctype html><html amp4email>"],
        "<!doctype html><html class=amp4email>",
        # With a way to read each part twice these would take longer than anybody lives.
        *[
            "<!---->" * 100_000 + "x",
            "<!--" * 100_000,
            " " * 100_000,
            "<!doctype html><html " + "a " * 100_000,
        ],
    ],
    ids=lambda start: start[:40],
)
def test_what_amp_readers_would_pass_over_is_refused(start: str) -> None:
    with pytest.raises(ContentError, match="⚡4email"):
        replace(LETTER, html="", amp=start)


def test_amp_needs_html_for_those_who_do_not_know_it() -> None:
    with pytest.raises(ContentError, match="html too"):
        replace(LETTER, amp=AMP)


@pytest.mark.parametrize(
    "html",
    [
        '<img src="cid:logo@example.com">',
        "<img src='CID:logo@example.com'>",
        '<img src="cid:logo%40example.com">',
        '<img src="cid:logo&#64;example.com">',
        "<td style='background: url(cid:logo@example.com)'>",
    ],
)
def test_an_image_that_the_html_names_goes_along_with_it(html: str) -> None:
    (image,) = list(reread(replace(LETTER, html=html, attachments=(LOGO,))).walk())[-1:]
    assert (image["Content-ID"], image.get_content_disposition()) == (
        "<logo@example.com>",
        "inline",
    )


@pytest.mark.parametrize("html", [None, "", "<p>cid:other", "logo@example.com"])
def test_an_image_that_nothing_names_is_an_ordinary_file(html: str | None) -> None:
    message = reread(replace(LETTER, html=html, attachments=(LOGO,)))
    (image,) = message.iter_attachments()
    assert image["Content-ID"] is None
    assert image.get_content_disposition() == "attachment"
    assert payload(image) == LOGO.content


@pytest.mark.parametrize(
    "mail",
    [
        MAIL,
        MAIL.replace(b"\r\n", b"\n"),
        b"Subject: no body",
        b"Subject: escapes\r\n\r\n\x1b$B%F\x1b(B\r\n",
        b"Subject: long\r\n\r\n" + b"x" * 998,
    ],
)
@pytest.mark.parametrize("content_type", ["message/rfc822", "Message/RFC822"])
def test_a_mail_is_passed_on_as_a_mail(mail: bytes, content_type: str) -> None:
    passed_on = Attachment("old.eml", content_type, mail)
    letter = replace(LETTER, attachments=(passed_on,))
    (part,) = reread(letter).iter_attachments()
    assert part.get_content_type() == "message/rfc822"
    assert part["Content-Transfer-Encoding"] == "7bit"
    assert part.get_filename() == "old.eml"
    (inner,) = part.iter_parts()
    assert inner["Subject"]
    sent = mail if b"\r" in mail else mail.replace(b"\n", b"\r\n")
    assert b"\r\n\r\n" + sent + b"\r\n--" in compose(letter, "seed")


@pytest.mark.parametrize(
    "mail",
    [
        *[b"", b"\r\n", b"no header", b"From jane Tue Feb 3 2026\nSubject: a\n\nb\n"],
        b"Subject: a\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n",
        b"Subject: a\r\n\r\nlone\rreturn\r\n",
        b"Subject: a\r\n\r\nlone\nnewline\r\n",
        b"Subject: a\r\n\r\n\0\r\n",
        b"Subject: a\r\n\r\n" + b"x" * 999,
    ],
)
def test_a_mail_that_cannot_go_as_7bit_goes_as_a_file_byte_for_byte(mail: bytes) -> None:
    passed_on = Attachment("old.eml", "message/rfc822", mail)
    (part,) = reread(replace(LETTER, attachments=(passed_on,))).iter_attachments()
    assert part.get_content_type() == "application/octet-stream"
    assert part.get_filename() == "old.eml"
    assert payload(part) == mail
