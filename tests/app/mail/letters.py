"""Letters to test with: one plain one, and strategies for all that a caller may put into others."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import unquote
from typing import TypeAlias

from hypothesis import strategies as st

from app.mail.address import Address, Mailbox
from app.mail.mime.compose import compose
from app.mail.mime.content import Attachment, Content
from app.mail.mime.filenames import FilenameError, check_filename, safe_filename
from app.mail.threads import Thread
from tests.app.mail.mime.calendars import INVITATION

Bodies: TypeAlias = "tuple[str | None, str | None, str]"
"""Text, HTML, and what AMP says; without the last there is no AMP and no invitation."""
Rest: TypeAlias = "tuple[tuple[Attachment, ...], Thread]"

SENDER = Mailbox("", Address("shop", "example.com"))
RECIPIENT = Mailbox("", Address("jane", "example.net"))
LETTER = Content(
    sender=SENDER,
    to=(RECIPIENT,),
    cc=(),
    reply_to=(),
    subject="Your parcel",
    text="It is on its way.\n",
    html=None,
    attachments=(),
    headers=(),
    date=datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
    message_id="0192f0c1@example.com",
)

SCRIPTS = "Grüße Żółć Ελλάδα Привет שלום מרחבא مرحبا हिन्दी ไทย 日本語 한국어 🎉👩‍👩‍👧 e\u0301"
_HOSTILE = "   =?_\"\\<>()@,;:.%'*\u00a0\u2003\u2028\u0085\ufeff"

header_characters = st.one_of(
    st.characters(codec="utf-8", exclude_characters="\x7f", exclude_categories=["Cs"]).filter(
        lambda character: character >= " "
    ),
    st.sampled_from(SCRIPTS + _HOSTILE),
)
header_texts = st.one_of(
    st.text(header_characters, max_size=120),
    st.text(st.sampled_from("ab =?_"), max_size=200),
    st.text(header_characters, min_size=1, max_size=4).map(lambda text: text * 150),
    st.just("=?utf-8?q?already=20encoded?="),
)
names = header_texts.map(lambda text: text[:300])


def is_filename(text: str) -> bool:
    """Tell whether `text` can name a file, and readers take it as it is.

    They strip white space of any kind, and quotation marks and angle brackets around the whole name.
    """
    name = safe_filename(text)
    try:
        check_filename(text)
    except FilenameError:
        return False
    return unquote(name) == name == name.strip()


filenames = header_texts.map(lambda text: text[:255]).filter(is_filename)
body_texts = st.one_of(
    st.text(max_size=300),
    st.text(st.sampled_from("a .\t=-\r\nä"), max_size=300),
    st.lists(
        st.sampled_from(
            ["From here", ".", "..", "", "--", " ", "\t", "x" * 75, "y" * 76, "z" * 1200, SCRIPTS]
        ),
        max_size=12,
    ).map("\r\n".join),
    st.lists(st.sampled_from(["From ", "a" * 74, "\n", " ", "é", "=", "a" * 71]), max_size=20).map(
        "".join
    ),
)
attachments = st.builds(
    Attachment,
    filename=filenames,
    content_type=st.sampled_from(["application/pdf", "image/png", "text/csv; charset=utf-8"]),
    content=st.binary(max_size=300),
    content_id=st.none(),
)
mailboxes = st.builds(Mailbox, names, st.just(Address("o'hara+tag", "xn--bcher-kva.example")))
# Local parts beyond ASCII, up to the 64 octets of the longest.
utf8_mailboxes = st.builds(
    Mailbox,
    names,
    st.text(st.sampled_from("äßłωжשمहไ漢한🎉a9+_-"), min_size=1, max_size=15).map(
        lambda text: Address(f"ü{text}", "xn--bcher-kva.example")
    ),
)
threads = st.builds(
    Thread,
    st.none() | st.just("last@example.net"),
    st.lists(st.from_regex(r"[a-z]{1,70}@[a-z]{1,9}", fullmatch=True), max_size=30).map(tuple),
)
AMP = "<!doctype html><html ⚡4email>"


def _letter(people: tuple[Mailbox, ...], subject: str, bodies: Bodies, rest: Rest) -> Content:
    """Return a letter from the first of the people to the others."""
    text, html, extra = bodies
    files, thread = rest
    return replace(
        LETTER,
        sender=people[0],
        to=people[1:3],
        cc=people[3:],
        subject=subject,
        text=text,
        html=html,
        amp=AMP + extra if html is not None and extra else None,
        invitation=INVITATION if extra else None,
        attachments=files,
        headers=(*thread.fields(), ("X-Note", subject)),
    )


letters = st.builds(
    _letter,
    st.lists(mailboxes, min_size=1, max_size=6).map(tuple),
    header_texts,
    st.tuples(st.none() | body_texts, st.none() | body_texts, st.just("") | body_texts),
    st.tuples(st.lists(attachments, max_size=2).map(tuple), threads),
)


def reread(content: Content, seed: str = "seed") -> EmailMessage:
    """Compose, and read the bytes again with the standard library."""
    message = message_from_bytes(compose(content, seed), policy=default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def body_of(message: EmailMessage, *kinds: str) -> str:
    """Return the decoded text of the first part of type text/<kind>."""
    part = message.get_body(kinds)
    assert part is not None
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def canonical(text: str) -> str:
    """Return `text` as it travels: every line end is CRLF."""
    return re.sub(r"\r\n|\r|\n", "\r\n", text)
