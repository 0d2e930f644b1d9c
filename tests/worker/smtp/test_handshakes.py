"""How TLS went with each host is told with the attempt, in the words of TLS reports."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.events import Category, TlsPolicy
from tests.fakes.smtp import SmtpServer, drop, self_signed
from tests.worker.smtp.parts import client
from tests.worker.smtp.secured import (
    ENCRYPTED,
    LEAF,
    MTA_STS,
    NAME,
    OPPORTUNISTIC,
    OTHER,
    PINNED,
    REQUIRETLS,
    TESTING,
    VERIFIED,
    carry,
    context,
    dane,
    host,
    sending,
)
from tests.worker.smtp.test_tls import BROKEN
from worker.outcomes.handshake import Asked, Handshake, PolicyKind, TlsFailure
from worker.outcomes.outcome import Verdict
from worker.policies.policy import Bar, Policy
from worker.smtp.tls import Tls

HOST = Handshake(host=NAME, address="127.0.0.1", local="127.0.0.1")
STS = Asked(PolicyKind.STS)
FAILURES = {
    "expired": TlsFailure.EXPIRED,
    "self-signed": TlsFailure.NOT_TRUSTED,
    "wrong name": TlsFailure.HOST_MISMATCH,
}


async def handshakes(tls: Tls, server: SmtpServer, policy: Policy) -> tuple[Handshake, ...]:
    async with sending(tls) as sender:
        return (await carry(sender, host(server, policy))).handshakes


async def test_a_session_with_tls_is_a_success_and_a_kept_one_is_not_told_again(
    server: SmtpServer,
) -> None:
    server.certificate = self_signed()
    async with client() as sender:
        assert (await sender.carry(server)).handshakes == (HOST,)
        assert (await sender.carry(server)).handshakes == ()


async def test_a_host_without_starttls_is_told(server: SmtpServer) -> None:
    async with client() as sender:
        attempted = await sender.carry(server)
    assert attempted.handshakes == (replace(HOST, failure=TlsFailure.NO_STARTTLS),)
    assert attempted.outcomes[0].verdict is Verdict.DELIVERED


async def test_a_handshake_that_fails_is_told_once_and_the_mail_goes_in_plain_text(
    server: SmtpServer,
) -> None:
    server.certificate = self_signed()
    server.reply("STARTTLS", "454 4.7.0 TLS not available")
    async with client() as sender:
        attempted = await sender.carry(server)
    (handshake,) = attempted.handshakes
    assert handshake.failure is TlsFailure.VALIDATION
    assert (handshake.host, handshake.address) == (HOST.host, HOST.address)
    assert "TLS" in handshake.reason
    assert attempted.outcomes[0].verdict is Verdict.DELIVERED


async def test_a_host_that_cannot_be_spoken_to_says_nothing_of_tls(server: SmtpServer) -> None:
    server.act("GREETING", drop)
    async with client() as sender:
        assert (await sender.carry(server)).handshakes == ()


@pytest.mark.parametrize("policy", [MTA_STS, TESTING])
async def test_a_session_under_a_policy_tells_which(
    secured: SmtpServer, tls: Tls, policy: Policy
) -> None:
    assert await handshakes(tls, secured, policy) == (replace(HOST, asked=STS),)


async def test_a_session_under_dane_tells_the_records(secured: SmtpServer, tls: Tls) -> None:
    (handshake,) = await handshakes(tls, secured, PINNED)
    assert handshake.failure is None
    assert handshake.asked.kind is PolicyKind.TLSA
    assert handshake.asked.strings[0] == f"3 1 1 {(b'o' * 32).hex()}"
    (handshake,) = await handshakes(tls, secured, ENCRYPTED)
    assert handshake.asked == Asked(PolicyKind.TLSA)


@pytest.mark.parametrize("broken", FAILURES)
@pytest.mark.parametrize("policy", [MTA_STS, TESTING])
async def test_a_certificate_that_fails_the_policy_is_told_whether_or_not_mail_went(
    tls: Tls, policy: Policy, broken: str
) -> None:
    leaf, _ = BROKEN[broken]
    async with SmtpServer(certificate=context(leaf)) as server:
        (handshake,) = await handshakes(tls, server, policy)
    assert (handshake.failure, handshake.asked) == (FAILURES[broken], STS)


async def test_a_certificate_that_no_record_fits_is_told(secured: SmtpServer, tls: Tls) -> None:
    (handshake,) = await handshakes(tls, secured, dane(OTHER))
    assert handshake.failure is TlsFailure.VALIDATION
    assert "TLSA" in handshake.reason


@pytest.mark.parametrize("policy", [MTA_STS, PINNED, TESTING, OPPORTUNISTIC])
async def test_a_host_that_offers_no_tls_is_told_under_every_policy(
    tls: Tls, policy: Policy
) -> None:
    async with SmtpServer() as server:
        (handshake,) = await handshakes(tls, server, policy)
    assert handshake.failure is TlsFailure.NO_STARTTLS


async def test_what_only_the_message_demands_is_no_failure_of_the_domain(tls: Tls) -> None:
    leaf, _ = BROKEN["expired"]
    async with SmtpServer(certificate=context(leaf)) as server:
        assert await handshakes(tls, server, VERIFIED) == ()
    async with SmtpServer(certificate=context(LEAF)) as server:
        assert await handshakes(tls, server, REQUIRETLS) == ()
        assert await handshakes(tls, server, VERIFIED) == (HOST,)


@pytest.mark.parametrize(
    ("origin", "failure"),
    [
        (TlsPolicy.DANE, TlsFailure.DNSSEC_INVALID),
        (TlsPolicy.MTA_STS, TlsFailure.VALIDATION),
        (TlsPolicy.REQUIRETLS, None),
    ],
)
async def test_a_host_that_must_not_be_connected_to_is_told_with_the_reason(
    secured: SmtpServer, tls: Tls, origin: TlsPolicy, failure: TlsFailure | None
) -> None:
    bar = Bar("4.7.5 nobody can tell", Category.NETWORK)
    found = await handshakes(tls, secured, Policy(origin, bar=bar))
    assert [(each.failure, each.reason) for each in found] == (
        [(failure, bar.text)] if failure else []
    )
