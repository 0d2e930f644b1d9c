"""What cannot be sent is refused before it is composed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.mail.headers import HeaderError
from app.mail.mime.content import Attachment, ContentError
from app.mail.mime.filenames import FilenameError
from tests.app.mail.letters import LETTER

CONTROLS = [chr(code) for code in [*range(0x20), 0x7F]] + ["\udc80"]


@pytest.mark.parametrize("control", CONTROLS)
def test_no_control_character_gets_into_any_field_that_becomes_a_header(control: str) -> None:
    hostile = f"a{control}b"
    with pytest.raises(HeaderError):
        replace(LETTER, subject=hostile)
    with pytest.raises(HeaderError):
        replace(LETTER, headers=(("X-Note", hostile),))
    with pytest.raises(HeaderError):
        replace(LETTER, headers=((hostile, "a"),))
    with pytest.raises(HeaderError):
        replace(LETTER, message_id=f"{hostile}@example.com")
    with pytest.raises(FilenameError):
        Attachment(hostile, "text/plain", b"")
    with pytest.raises(ContentError):
        Attachment("a", f"text/{hostile}", b"")
    with pytest.raises(ContentError):
        Attachment("a", f'text/plain; title="{hostile}"', b"")
    with pytest.raises(ContentError):
        Attachment("a", "text/plain", b"", content_id=hostile)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/vnd.ms-excel",
        "image/svg+xml",
        "text/csv; charset=utf-8",
        "text/csv;charset=utf-8",
        'text/csv; header="present, always"; charset=utf-8',
    ],
)
def test_media_types_with_parameters_are_taken(content_type: str) -> None:
    assert Attachment("a", content_type, b"").content_type == content_type


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text",
        "text/",
        "/plain",
        "text/plain;",
        "text/plain; charset",
        "text plain",
        "text/plain, text/html",
        "text/plain; a=ü",
        'text/plain; a="b',
        "multipart/mixed",
        "message/partial",
        "message/delivery-status",
        "message/rfc822; charset=utf-8",
        "text/plain; name=x",
        'text/plain; NAME="x"',
        "text/plain;name*=x",
        "a/" + "b" * 300,
    ],
)
def test_other_media_types_are_refused(content_type: str) -> None:
    with pytest.raises(ContentError, match=r"content type|octet-stream"):
        Attachment("a", content_type, b"")


@pytest.mark.parametrize("content_id", ["", "<logo>", "lo go", "lögo", "a" * 256])
def test_malformed_content_ids_are_refused(content_id: str) -> None:
    with pytest.raises(ContentError, match="content id"):
        Attachment("a", "image/png", b"", content_id=content_id)


@pytest.mark.parametrize("filename", ["", " ", "a" * 256, ".", "..", ". .", "   ..."])
def test_file_names_have_a_length(filename: str) -> None:
    with pytest.raises(FilenameError, match="1 to 255"):
        Attachment(filename, "image/png", b"")


def test_texts_are_unicode() -> None:
    with pytest.raises(ContentError, match="lone surrogate"):
        replace(LETTER, text="a\ud800")
    with pytest.raises(ContentError, match="lone surrogate"):
        replace(LETTER, html="<p>\udfff")


def test_content_ids_are_unique() -> None:
    logo = Attachment("a.png", "image/png", b"", content_id="logo")
    with pytest.raises(ContentError, match="same content id"):
        replace(LETTER, attachments=(logo, replace(logo, filename="b.png")))


def test_a_date_without_a_zone_is_refused() -> None:
    with pytest.raises(ContentError, match="time zone"):
        replace(LETTER, date=LETTER.date.replace(tzinfo=None))


def test_bodies_and_files_stay_out_of_what_a_log_may_print() -> None:
    letter = replace(
        LETTER, html="secret", text="secret", attachments=(Attachment("a", "a/b", b"secret"),)
    )
    assert "secret" not in repr(letter)
