"""Parts that are kept apart: their names stand where they stood, and put back they give the same bytes."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from app.mail.address import parse_mailbox
from app.mail.mime.compose import compose
from app.mail.mime.content import Attachment, Content
from app.mail.mime.sharing import shared_parts, without_parts
from app.mail.mime.transfer import SharedBody, encode_octets, encode_shared

LARGE = bytes(range(256)) * 100


def attached(octets: bytes, name: str = "a.bin") -> Attachment:
    return Attachment(name, "application/octet-stream", octets, None, encode_shared(octets))


def composed(*attachments: Attachment, text: str = "hello") -> bytes:
    box = parse_mailbox("a@b.example")
    content = Content(
        sender=box,
        to=(box,),
        cc=(),
        reply_to=(),
        subject="",
        text=text,
        html=None,
        attachments=attachments,
        headers=(),
        date=datetime(2030, 1, 1, tzinfo=UTC),
        message_id="x@b.example",
    )
    return compose(content, "seed")


def put_back(raw: bytes, parts: tuple[SharedBody, ...]) -> bytes:
    for part in parts:
        raw = raw.replace(b"\0%b\0" % part.name.encode(), part.octets)
    return raw


def test_an_attachment_that_was_encoded_before_gives_the_same_mail() -> None:
    alone = Attachment("a.bin", "application/octet-stream", LARGE)
    assert composed(attached(LARGE)) == composed(alone)
    assert encode_shared(LARGE).octets == encode_octets(LARGE).octets


def test_equal_parts_have_one_name_and_others_have_others() -> None:
    assert encode_shared(LARGE).name == encode_shared(bytes(LARGE)).name
    assert encode_shared(LARGE).name != encode_shared(LARGE + b"x").name


def test_only_large_parts_are_kept_apart_and_each_once() -> None:
    small, large = attached(b"x"), attached(LARGE)
    own = Attachment("b", "application/octet-stream", LARGE)
    assert shared_parts((small, own)) == ()
    assert shared_parts((small, large, attached(LARGE, "b.bin"))) == (large.encoded,)


@given(
    octets=st.lists(
        st.binary(min_size=1, max_size=4).map(lambda seed: seed * 9_000), min_size=1, max_size=3
    ),
    text=st.text("a\n\r AQ=", max_size=200),
)
def test_parts_put_back_give_the_bytes_that_were_signed(octets: list[bytes], text: str) -> None:
    attachments = [attached(each) for each in octets]
    raw = composed(*attachments, *attachments[:1], text=text)
    parts = tuple(
        {each.encoded.name: each.encoded for each in attachments if each.encoded}.values()
    )
    short = without_parts(raw, parts)
    assert put_back(short, parts) == raw
    assert len(short) < len(raw) - sum(len(part.octets) for part in parts)


def test_a_part_that_begins_like_the_text_is_found_where_it_stands() -> None:
    part = attached(LARGE)
    assert part.encoded
    text = f"hello\n\n{part.encoded.octets[:70].decode()}\n"
    raw = composed(part, text=text)
    short = without_parts(raw, (part.encoded,))
    assert put_back(short, (part.encoded,)) == raw
    assert short.count(b"\0") == 2
