"""What receivers that offer DSN (RFC 3461) are told: which reports we want of them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.smtp import SmtpServer
from tests.worker.smtp.parts import MESSAGE, client, envelope
from worker.outcomes.outcome import Verdict
from worker.smtp.envelope import Envelope

IDENTIFIED = replace(envelope("Ann+news=a@example.net", "bob@example.net"), id="msg_1+2=3")


def commands(server: SmtpServer, verb: str) -> list[str]:
    return [line for line in server.sessions[0].commands if line.startswith(verb)]


async def test_a_host_that_offers_dsn_is_told_of_the_message_and_of_each_recipient(
    server: SmtpServer,
) -> None:
    server.extensions = ["PIPELINING", "SIZE", "DSN"]
    async with client() as sender:
        await sender.carry(server, IDENTIFIED)
    await server.received(1)
    size = len(MESSAGE)
    assert commands(server, "MAIL") == [
        f"MAIL FROM:<sender@example.org> SIZE={size} RET=HDRS ENVID=msg_1+2B2+3D3"
    ]
    assert commands(server, "RCPT") == [
        "RCPT TO:<Ann+news=a@example.net> NOTIFY=FAILURE ORCPT=rfc822;Ann+2Bnews+3Da@example.net",
        "RCPT TO:<bob@example.net> NOTIFY=FAILURE ORCPT=rfc822;bob@example.net",
    ]


async def test_a_host_that_does_not_offer_it_is_told_nothing(server: SmtpServer) -> None:
    server.extensions = ["PIPELINING"]
    async with client() as sender:
        await sender.carry(server, IDENTIFIED)
    await server.received(1)
    assert commands(server, "MAIL") == ["MAIL FROM:<sender@example.org>"]
    assert commands(server, "RCPT")[1] == "RCPT TO:<bob@example.net>"


async def test_on_a_message_with_the_null_return_path_no_report_is_wanted(
    server: SmtpServer,
) -> None:
    server.extensions = ["DSN"]
    async with client() as sender:
        await sender.carry(server, replace(IDENTIFIED, mail_from=""))
    await server.received(1)
    assert commands(server, "MAIL") == ["MAIL FROM:<>"]
    assert {line.partition("> ")[2] for line in commands(server, "RCPT")} == {"NOTIFY=NEVER"}


async def test_an_address_in_utf8_is_told_as_such(server: SmtpServer) -> None:
    server.extensions = ["DSN", "SMTPUTF8", "8BITMIME"]
    async with client() as sender:
        mail = replace(IDENTIFIED, recipients=("jörg+x@example.net",))
        assert (await sender.outcome(server, mail)).verdict is Verdict.DELIVERED
    told = commands(server, "RCPT")[0].encode("latin-1").decode()
    assert told.endswith(r" ORCPT=utf-8;jörg\x{2B}x@example.net")


@pytest.mark.parametrize(
    ("local", "is_told"), [("x" * 64, True), ("+" * 64, True), ("ü" + "+" * 62, False)]
)
def test_an_address_whose_escapes_would_make_the_command_too_long_is_not_told_twice(
    local: str, is_told: bool
) -> None:
    address = f"{local}@{'.'.join(['y' * 60] * 3)}.{'z' * 6}"
    assert len(address.encode()) == 254
    told = replace(IDENTIFIED, recipients=(address,)).recipient_parameters(0)
    assert ("ORCPT" in told) == is_told
    assert told.startswith(" NOTIFY=FAILURE")
    assert len(told.encode()) <= 500


async def test_recipients_that_are_named_in_a_second_transaction_keep_the_name_of_the_message(
    server: SmtpServer,
) -> None:
    server.extensions = ["DSN", "LIMITS RCPTMAX=1"]
    async with client() as sender:
        await sender.carry(server, IDENTIFIED)
    await server.received(2)
    assert [line.partition("ENVID=")[2] for line in commands(server, "MAIL")] == [
        "msg_1+2B2+3D3"
    ] * 2


def test_without_a_name_for_the_message_no_report_is_asked_for() -> None:
    nameless = Envelope("a@example.org", ("a@b.example",), b"")
    assert (nameless.sender_parameters(), nameless.recipient_parameters(0)) == ("", "")


LOCALS = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="<>"), min_size=1
)


@given(local=LOCALS)
def test_a_parameter_decodes_to_the_address_and_holds_only_what_parameters_may(local: str) -> None:
    address = f"{local}@example.net"
    told = Envelope("a@example.org", (address,), b"", "msg_1").recipient_parameters(0)
    original = told.removeprefix(" NOTIFY=FAILURE ORCPT=rfc822;")
    assert re.fullmatch(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+", original)
    assert re.sub(r"\+([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), original) == address
