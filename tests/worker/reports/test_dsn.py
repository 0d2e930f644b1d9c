"""Delivery reports: written here, read by the parser of the standard library."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.events import Peer
from app.mail.address import Address, Mailbox
from app.mail.reply import MAX_TEXT, Reply
from app.messages import RecipientState, Status
from tests.worker.reports.told import (
    ACCEPTED_AT,
    HEADER,
    NOW,
    PEER,
    message,
    reread,
    state,
)
from worker.reports.dsn import DeliveryReport, compose_report, status_code

SENDER = Mailbox("Mail delivery", Address("postmaster", "example.com"))


def report(*states: RecipientState, to: tuple[str, ...] = ()) -> DeliveryReport:
    addresses = to or tuple(f"user{n}@example.org" for n, _ in enumerate(states))
    return DeliveryReport(
        message=message(*addresses),
        states=tuple(enumerate(states)),
        header=HEADER,
        sender=SENDER,
        mta="out.example.com",
        id="123@example.com",
        at=NOW,
    )


def test_a_report_has_the_three_parts_and_the_fields_of_its_kind() -> None:
    told = report(state(Status.BOUNCED))
    read = reread(compose_report(told))
    assert read.mail.get_content_type() == "multipart/report"
    assert read.mail.get_param("report-type") == "delivery-status"
    assert [part.get_content_type() for part in read.parts] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert read.parts[1]["Content-Transfer-Encoding"] == "7bit"
    assert (read.mail["From"], read.mail["To"]) == (
        "Mail delivery <postmaster@example.com>",
        "ops@example.com",
    )
    assert read.mail["Subject"] == "Not delivered: hello"
    assert read.mail["Auto-Submitted"] == "auto-replied"
    assert read.mail["In-Reply-To"] == read.mail["References"] == "<abc@example.com>"
    assert read.mail["Message-ID"] == "<123@example.com>"


def test_a_failure_says_whom_why_when_and_where_in_fields_for_programs() -> None:
    told = report(state(Status.BOUNCED))
    read = reread(compose_report(told))
    assert read.groups[0] == {
        "Original-Envelope-Id": told.message.id,
        "Reporting-MTA": "dns; out.example.com",
        "Arrival-Date": "Sat, 31 Jan 2026 12:00:00 +0000",
    }
    assert read.recipients == [
        {
            "Original-Recipient": "rfc822; user0@example.org",
            "Final-Recipient": "rfc822; user0@example.org",
            "Action": "failed",
            "Status": "5.1.1",
            "Remote-MTA": "dns; mx.example.org",
            "Diagnostic-Code": "smtp; 550 5.1.1 No such user",
            "Last-Attempt-Date": "Sat, 31 Jan 2026 17:00:00 +0000",
        }
    ]


def test_people_are_told_the_address_and_the_reply_in_plain_words() -> None:
    words = reread(compose_report(report(state(Status.BOUNCED)))).words
    assert "user0@example.org" in words
    assert "What mx.example.org said: 550 5.1.1 No such user" in words
    assert "will not be tried again" in words


def test_lateness_says_until_when_it_is_tried() -> None:
    read = reread(compose_report(report(state(Status.DEFERRED, Reply(451, "4.7.1", "Later")))))
    (fate,) = read.recipients
    assert (fate["Action"], fate["Status"]) == ("delayed", "4.7.1")
    assert parsedate_to_datetime(fate["Will-Retry-Until"]) == ACCEPTED_AT + timedelta(days=4)
    assert read.mail["Subject"] == "Delayed: hello"
    assert "You need not send it again" in read.words


def test_a_message_that_nobody_answered_yet_is_late_without_a_diagnosis() -> None:
    read = reread(compose_report(report(RecipientState())))
    assert read.recipients == [
        {
            "Original-Recipient": "rfc822; user0@example.org",
            "Final-Recipient": "rfc822; user0@example.org",
            "Action": "delayed",
            "Status": "4.0.0",
            "Will-Retry-Until": "Wed, 04 Feb 2026 12:00:00 +0000",
        }
    ]


def test_what_no_receiver_said_is_no_smtp_diagnosis_and_names_no_remote_host() -> None:
    local = state(Status.BOUNCED, reply=None, text="5.4.4 the domain has no address", peer=PEER)
    (fate,) = reread(compose_report(report(local))).recipients
    assert fate["Diagnostic-Code"] == "x-pillarbox; 5.4.4 the domain has no address"
    assert "Remote-MTA" not in fate
    assert fate["Status"] == "5.4.4"


@pytest.mark.parametrize(
    ("status", "reply", "text", "expected"),
    [
        (Status.BOUNCED, Reply(550, "5.1.1", "No"), "", "5.1.1"),
        (Status.BOUNCED, Reply(550, None, "No"), "", "5.0.0"),
        (Status.BOUNCED, None, "something odd", "5.0.0"),
        (Status.EXPIRED, Reply(451, "4.3.0", "Later"), "", "4.3.0"),
        (Status.EXPIRED, None, "the message's time ended", "4.4.7"),
        (Status.UNKNOWN, None, "the reply was lost", "4.4.2"),
        (Status.SUPPRESSED, None, "5.7.1 not sent: the address is suppressed", "5.7.1"),
        (Status.DEFERRED, Reply(552, "5.2.2", "Full"), "", "4.2.2"),
        (Status.DEFERRED, None, "5.4.4 the domain does not exist", "4.4.4"),
        (Status.DEFERRED, None, "5.4.4.4 is an address", "4.0.0"),
    ],
)
def test_the_class_of_a_status_is_what_became_of_the_recipient(
    status: Status, reply: Reply | None, text: str, expected: str
) -> None:
    assert status_code(state(status, reply, text)) == expected


def test_an_uncertain_delivery_is_not_told_as_refused() -> None:
    words = reread(compose_report(report(state(Status.UNKNOWN, None, "lost")))).words
    assert "may have arrived" in words


def test_a_suppressed_recipient_is_told_as_one_that_nothing_was_sent_to() -> None:
    read = reread(compose_report(report(state(Status.SUPPRESSED, None, "5.7.1 suppressed"))))
    assert "was not sent" in read.words
    (fate,) = read.recipients
    assert (fate["Action"], fate["Status"]) == ("failed", "5.7.1")


def test_recipients_that_failed_and_others_that_are_late_have_a_group_each() -> None:
    read = reread(
        compose_report(report(state(Status.BOUNCED), state(Status.EXPIRED), RecipientState()))
    )
    assert [fate["Action"] for fate in read.recipients] == ["failed", "failed", "delayed"]
    assert [fate["Final-Recipient"] for fate in read.recipients] == [
        f"rfc822; user{n}@example.org" for n in range(3)
    ]


def test_the_header_of_the_message_comes_back_octet_by_octet() -> None:
    raw = compose_report(report(state(Status.BOUNCED)))
    assert HEADER in raw
    returned = reread(raw).parts[2].get_payload(decode=True)
    assert returned == HEADER


def test_an_address_beyond_ascii_is_told_in_the_global_form() -> None:
    read = reread_global(report(state(Status.BOUNCED), to=("jörg@example.org",)))
    assert "Final-Recipient: utf-8; jörg@example.org\r\n" in read
    assert "Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n" in read


def reread_global(told: DeliveryReport) -> str:
    raw = compose_report(told)
    assert raw.isascii()
    mail = reread(raw).mail
    assert mail.get_param("report-type") == "global-delivery-status"
    (status,) = [
        part for part in mail.walk() if part.get_content_type() == "message/global-delivery-status"
    ]
    assert status["Content-Transfer-Encoding"] == "base64"
    return decoded(raw, b"message/global-delivery-status")


def decoded(raw: bytes, kind: bytes) -> str:
    """Return a base64 part: the standard library does not look into encoded parts of type message."""
    from base64 import b64decode

    part = raw.partition(b"Content-Type: " + kind)[2].partition(b"\r\n\r\n")[2]
    return b64decode(part.partition(b"\r\n--=_")[0]).decode()


def test_a_header_beyond_ascii_comes_back_as_such() -> None:
    header = "From: jörg@example.org\r\n".encode()
    raw = compose_report(replace(report(state(Status.BOUNCED)), header=header))
    assert raw.isascii()
    assert decoded(raw, b"message/global-headers") == header.decode()


def test_a_report_to_an_address_beyond_ascii_names_it_in_its_header_alone() -> None:
    told = report(state(Status.BOUNCED))
    reader = "jörg@example.com"
    raw = compose_report(replace(told, message=replace(told.message, report_to=reader)))
    head, _, body = raw.partition(b"\r\n\r\n")
    assert f"To: {reader}\r\n".encode() in head
    assert body.isascii()
    assert reread(raw.replace(reader.encode(), b"ops@example.com")).mail["To"] == "ops@example.com"


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=MAX_TEXT))
def test_whatever_a_receiver_says_stays_inside_its_field(text: str) -> None:
    raw = compose_report(report(state(Status.BOUNCED, Reply(550, "5.1.1", text))))
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    read = reread(raw)
    assert len(read.groups) == 2
    (fate,) = read.recipients
    assert len(fate) == 7
    assert fate["Diagnostic-Code"].startswith("smtp; 550 5.1.1")


@given(host=st.from_regex(r"[a-z0-9.-]{1,253}", fullmatch=True))
def test_the_name_of_a_host_stays_whole(host: str) -> None:
    told = report(state(Status.BOUNCED, peer=Peer(host, "192.0.2.1")))
    (fate,) = reread(compose_report(told)).recipients
    assert fate["Remote-MTA"] == f"dns; {host}"


def test_a_name_of_a_host_that_the_dns_has_to_escape_breaks_no_line() -> None:
    # Each octet of a label may be written as four characters.
    host = ".".join([r"\001" * 63] * 3 + [r"\001" * 57, "x.y"])
    raw = compose_report(report(state(Status.BOUNCED, peer=Peer(host, "192.0.2.1"))))
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    (fate,) = reread(raw).recipients
    assert fate["Remote-MTA"].replace(" ", "") == f"dns;{host}"


def test_an_address_that_must_not_be_told_is_hidden_where_a_receiver_quotes_it() -> None:
    quoting = Reply(550, "5.7.1", "not for Secret@Example.net, nor for notsecret@example.net")
    told = replace(report(state(Status.BOUNCED, quoting)), unspeakable=("secret@example.net",))
    read = reread(compose_report(told))
    (fate,) = read.recipients
    expected = "550 5.7.1 not for (hidden recipient), nor for notsecret@example.net"
    assert fate["Diagnostic-Code"] == f"smtp; {expected}"
    assert expected in read.words
