"""Finished mails: what is taken, what is taken away, and what is refused, on bytes alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.mail.address import Address
from app.mail.finished.faults import MailError
from app.mail.finished.fields import MAX_FIELDS, MAX_HEADER_BYTES
from app.mail.finished.reading import FinishedMail, read_mail

AUTHOR = b"From: Shop <hello@shop.example>\r\n"


def read(*lines: bytes, body: bytes = b"Hello.\r\n") -> FinishedMail:
    """Read a mail of these header lines, after a From that is right."""
    return read_mail(AUTHOR + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body)


def refused(raw: bytes) -> list[tuple[str, str]]:
    """Return places and codes of all faults."""
    with pytest.raises(MailError) as caught:
        read_mail(raw)
    assert all(fault.reason.endswith((".", ")")) for fault in caught.value.faults)
    return [("/".join(fault.place), fault.code) for fault in caught.value.faults]


def with_header(*lines: bytes) -> bytes:
    """Return a mail with these lines after a From that is right."""
    return AUTHOR + b"".join(line + b"\r\n" for line in lines) + b"\r\nHello.\r\n"


def test_fields_stay_as_they_are_however_they_are_written() -> None:
    lines = [
        b"X-oDD:no space",
        b"Subject:  two\r\n\tfolded \r\n   lines  ",
        b"X-Empty:",
        b"x-odd: again",
    ]
    mail = read(*lines, body=b" \tbody  \r\n\r\n\r\n\xff\xfe\r\n")
    assert mail.head == AUTHOR + b"".join(line + b"\r\n" for line in lines)
    assert mail.body == b" \tbody  \r\n\r\n\r\n\xff\xfe\r\n"
    assert mail.subject == "two folded    lines"


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_line_ends_of_any_system_are_taken(end: bytes) -> None:
    raw = end.join([b"From: a@shop.example", b"Subject: x", b" y", b"", b"one", b"two", b""])
    mail = read_mail(raw)
    assert mail.head == b"From: a@shop.example\r\nSubject: x\r\n y\r\n"
    assert mail.body == b"one\r\ntwo\r\n"


@pytest.mark.parametrize("name", [b"Bcc", b"BCC", b"bcc", b"bCc", b"Resent-Bcc", b"RESENT-BCC"])
@pytest.mark.parametrize(
    "value",
    [
        b": secret@x.example",
        b":secret@x.example",
        b": a@x.example,\r\n\tsecret@x.example,\r\n secret@y.example",
    ],
)
def test_bcc_is_taken_away_in_any_case_with_its_folded_lines(name: bytes, value: bytes) -> None:
    mail = read(b"Subject: x", name + value, b"X-Last: y", name + value)
    assert mail.head == AUTHOR + b"Subject: x\r\nX-Last: y\r\n"


def test_return_path_is_taken_away_and_traces_of_others_stay() -> None:
    traces = [
        b"Received: from a by b; Mon, 1 Jan 2029 00:00:00 +0000",
        b"Received: from c by a; Mon, 1 Jan 2029 00:00:00 +0000",
        b"DKIM-Signature: v=1; d=other.example",
        b"ARC-Seal: i=1",
        b"Authentication-Results: mx.example; none",
        b"Resent-To: x@y.example",
    ]
    mail = read(b"Return-Path: <x@y.example>", *traces)
    assert mail.head == AUTHOR + b"".join(line + b"\r\n" for line in traces)


@pytest.mark.parametrize(
    ("field", "address"),
    [
        (b"a@b.example", Address("a", "b.example")),
        (b" <a@b.example> ", Address("a", "b.example")),
        (b'"Ann, Inc. <x@y.example>" <a@B.example>', Address("a", "b.example")),
        (b'"Ann" of\r\n =?utf-8?q?B=C3=BCcher?= <a@b.example>', Address("a", "b.example")),
        ("Ann Grüße <a@bücher.example>".encode(), Address("a", "xn--bcher-kva.example")),
    ],
)
def test_from_is_one_mailbox_in_any_usual_form(field: bytes, address: Address) -> None:
    assert read_mail(b"FROM: " + field + b"\r\n\r\n").author == address


@pytest.mark.parametrize(
    "field",
    [
        b"",
        b"<>",
        b"Ann",
        b"a@b.example, c@d.example",
        b"A <a@b.example>, C <c@d.example>",
        b"<a@b.example> <c@d.example>",
        b"friends: a@b.example;",
        b"friends: A <a@b.example>;",
        b"a@b.example (Ann)",
        b"Ann (really) <a@b.example>",
        b'"Ann <a@b.example>',
        b'Ann" <a@b.example>',
        b"a@b.example <c@d.example>",
        b'"a b"@c.example',
        b"<@x.example:a@b.example>",
        b"a@[192.0.2.1]",
        b"<a@b.example> trailing",
        b"a@b\r\n .example",
    ],
)
@pytest.mark.parametrize("name", ["From", "Sender"])
def test_author_and_sender_have_exactly_one_address_that_all_read_alike(
    name: str, field: bytes
) -> None:
    author = b"" if name == "From" else AUTHOR
    raw = author + name.encode() + b": " + field + b"\r\n\r\n"
    assert refused(raw) == [(f"header/{name.lower()}", "invalid_address")]


SINGLE = [
    *[
        "Date",
        "From",
        "Sender",
        "Reply-To",
        "To",
        "Cc",
        "Message-ID",
        "In-Reply-To",
        "References",
        "Subject",
    ],
    *[
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
        "List-Unsubscribe",
        "List-Id",
        "TLS-Required",
    ],
]


@pytest.mark.parametrize("name", SINGLE)
def test_what_may_stand_once_is_refused_twice(name: str) -> None:
    value = "<a@b.example>"
    lines = [f"{name}: {value}".encode(), f"{name.upper()}: {value}".encode()]
    assert refused(with_header(*lines)) == [(f"header/{name.lower()}", "duplicate")]


@pytest.mark.parametrize(
    ("raw", "faults"),
    {
        "nothing": (b"", [("header", "required")]),
        "no header": (b"\r\nHello", [("header", "required")]),
        "no header, by a lone LF": (b"\nFrom: a@b.example\n\n", [("header", "required")]),
        "no From": (b"Subject: x\r\n\r\n", [("header/from", "required")]),
        "no field": (b"From: a@b.example\r\nHello\r\n\r\n", [("header", "invalid_header_field")]),
        "space before the colon": (with_header(b"Bcc : a@b.example"), [("header", "invalid_header_field")]),
        "tab before the colon": (with_header(b"Bcc\t: a@b.example"), [("header", "invalid_header_field")]),
        "no name": (with_header(b": x"), [("header", "invalid_header_field")]),
        "a name beyond ASCII": (with_header("X-ü: x".encode()), [("header", "invalid_header_field")]),
        "mbox": (b"From ann@b.example Mon\r\n" + AUTHOR, [("header", "invalid_header_field")]),
        "a fold of nothing": (b" x\r\n" + AUTHOR, [("header", "invalid_header_field")]),
        "a blank line that is not empty": (with_header(b" ", b"Bcc: a@b"), [("header", "invalid_header_field")]),
        "CR CR LF": (b"From: a@b.example\r\r\nBcc: x@y\r\r\n", [("header", "invalid_header_field")]),
        "Latin-1": (with_header(b"Subject: \xfc"), [("header", "invalid_header_field")]),
        "half a surrogate pair": (with_header(b"X: \xed\xa0\x80"), [("header", "invalid_header_field")]),
        "NUL in the header": (with_header(b"X: a\0b"), [("header", "control_character")]),
        "DEL in the header": (with_header(b"X: a\x7f"), [("header", "control_character")]),
        "ESC in the header": (with_header(b"Subject: a\x1b[2J"), [("header", "control_character")]),
        "NUL in the body": (with_header() + b"\0", [("body", "control_character")]),
        "a long line of the header": (with_header(b"X: " + b"a" * 996), [("header", "too_long")]),
        "a long line of the body": (with_header() + b"a" * 999, [("body", "too_long")]),
        "a long header": (with_header(*[b"X: " + b"a" * 900] * 300), [("header", "too_long")]),
        "a header without end": (b"X" * (MAX_HEADER_BYTES + 1), [("header", "too_long")]),
        "many fields": (with_header(*[b"X: a"] * MAX_FIELDS), [("header", "too_many")]),
        "a loop": (with_header(*[b"Received: from a by b"] * 100), [("header/received", "too_many")]),
        "a Message-ID without brackets": (
            with_header(b"Message-ID: a@b.example"),
            [("header/message-id", "invalid_header_field")],
        ),
        "an empty Message-ID": (with_header(b"Message-ID:"), [("header/message-id", "invalid_header_field")]),
        "everything at once": (
            b"Subject: a\r\nSubject: b\r\nFrom: a\r\nSender: b\r\n\r\n\0",
            [
                ("header/subject", "duplicate"),
                ("body", "control_character"),
                ("header/from", "invalid_address"),
                ("header/sender", "invalid_address"),
            ],
        ),
    }.values(),
)  # fmt: skip
def test_each_fault_is_named(raw: bytes, faults: list[tuple[str, str]]) -> None:
    assert refused(raw) == faults


def test_what_is_within_the_limits_is_taken() -> None:
    lines = [b"Received: from a by b"] * 99 + [b"X: " + b"a" * 995] + [b"X: a"] * 800
    assert read(*lines, body=b"a" * 998).body == b"a" * 998 + b"\r\n"
    assert read("Subject: Grüße".encode(), "X: \u2028".encode()).subject == "Grüße"


@pytest.mark.parametrize("size", range(MAX_HEADER_BYTES - 6, MAX_HEADER_BYTES + 1))
def test_the_body_begins_behind_the_empty_line_however_long_the_header_is(size: int) -> None:
    fields = AUTHOR + (b"X: " + b"a" * 507 + b"\r\n") * 511
    head = fields + b"Y: " + b"a" * (size - len(fields) - len(b"Y: "))
    mail = read_mail(head + b"\r\n\r\nbody\r\n")
    assert (mail.head, mail.body) == (head + b"\r\n", b"body\r\n")


def test_a_space_before_the_colon_of_from_is_not_taken_for_an_mbox() -> None:
    with pytest.raises(MailError, match="Line 1 has a space before the colon"):
        read_mail(b"From : ann@b.example\r\n\r\n")


def test_a_mail_may_have_no_body() -> None:
    for raw in (AUTHOR, AUTHOR + b"\r\n", AUTHOR.rstrip()):
        mail = read_mail(raw)
        assert (mail.head, mail.body) == (AUTHOR, b"")


def test_the_subject_is_read_for_people_and_cannot_act_where_it_is_shown() -> None:
    assert (
        read(b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?b?IQ==?= x").subject == "Grüße! x"
    )
    assert read(b"Subject: =?utf-8?q?a=0D=0Ab=00?=").subject == "a  b "
    assert read(b"Subject: =?utf-7?q?+2AA-?=").subject == " "
    assert read(*[b"Subject: x" + b"\r\n yyyy" * 400]).subject == ("x" + " yyyy" * 400)[:998]
    assert read().subject == ""


def test_addresses_in_to_and_cc_are_known() -> None:
    mail = read(
        b"To: Ann <Ann@B.example>, friends: x@y.example,\r\n z@y.example;",
        'Cc: c@bücher.example (comment), nonsense@, "q@r.example" <s@t.example>'.encode(),
    )
    assert mail.to == {"Ann@b.example", "x@y.example", "z@y.example"}
    assert mail.cc == {"c@xn--bcher-kva.example", "q@r.example", "s@t.example"}


# Each would take minutes to be read in quadratic time.
@pytest.mark.parametrize("word", [b"@" * 900, b"a@" * 450, b"=?a?q?" * 150, b'"' * 899])
def test_hostile_lines_are_read_as_quickly_as_others(word: bytes) -> None:
    folded = b"\r\n ".join([word] * 120)
    assert read(b"To: " + folded, b"Subject: " + folded).to == frozenset()
    assert refused(b"From: " + folded + b"\r\n\r\n") == [("header/from", "invalid_address")]


PIECES = [
    *[
        b"From: a@b.example",
        b"Bcc: c@d.example",
        b"Subject: =?utf-8?b?w7w=?=",
        b"X",
        b":",
        b" ",
        b"\t",
        b"<",
        b'"',
    ],
    *[
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"\0",
        b"\xff",
        "ü".encode(),
        b".",
        b"Message-ID: <a@b>",
        b"Sender:",
    ],
]


@given(st.binary(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join))
@example(b"From: a@b.example\r\nBcc\r\n : x")
def test_any_bytes_are_read_or_refused_and_what_is_read_is_sound(raw: bytes) -> None:
    try:
        mail = read_mail(raw)
    except MailError:
        assert refused(raw)
        return
    whole = mail.head + b"\r\n" + mail.body
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", whole)
    assert not re.search(rb"(?im)^(?:resent-)?bcc\s*:", mail.head)
    assert len(re.findall(rb"(?im)^from:", mail.head)) == 1
    again = read_mail(whole)
    assert (again.head, again.body, again.author) == (mail.head, mail.body, mail.author)
