"""Policies over real TLS: what hosts get that do not agree on TLS, and who shares sessions."""

from __future__ import annotations

import ssl

import pytest
import trustme

from app.events import Category, TlsPolicy
from tests.fakes.smtp import Connection, SmtpServer, drop, hang, smtp_servers
from tests.worker.smtp.parts import SOON, client, settings, texts
from tests.worker.smtp.secured import (
    LEAF,
    MTA_STS,
    NAME,
    OPPORTUNISTIC,
    OWN,
    PINNED,
    REQUIRETLS,
    SAFE,
    TESTING,
    VERIFIED,
    attempt,
    carry,
    context,
    dane,
    host,
    is_refused,
    peer_of,
    said,
    sending,
    short,
)
from worker.outcomes.outcome import Verdict
from worker.policies.policy import Bar, Policy, Proof
from worker.smtp.tls import Tls


@pytest.mark.parametrize("policy", SAFE, ids=short)
async def test_a_host_without_starttls_gets_no_mail(tls: Tls, policy: Policy) -> None:
    async with SmtpServer() as server:
        outcome = await is_refused(server, tls, policy)
    assert outcome.category is Category.POLICY
    assert "STARTTLS" in outcome.text


@pytest.mark.parametrize("policy", SAFE, ids=short)
@pytest.mark.parametrize("reply", ["454 4.7.0 Not now", "501 5.5.4 No", "502 No", "554 No"])
async def test_a_host_that_refuses_starttls_gets_no_mail(
    secured: SmtpServer, tls: Tls, policy: Policy, reply: str
) -> None:
    secured.reply("STARTTLS", reply)
    await is_refused(secured, tls, policy)


async def test_a_host_that_fails_the_policy_is_left_with_quit(
    secured: SmtpServer, tls: Tls
) -> None:
    secured.extensions.remove("REQUIRETLS")
    await attempt(tls, host(secured, REQUIRETLS))
    assert secured.sessions[-1].verbs() == ["EHLO", "STARTTLS", "EHLO", "QUIT"]


@pytest.mark.parametrize("policy", SAFE, ids=short)
async def test_a_host_that_hangs_up_in_the_handshake_gets_no_mail(
    secured: SmtpServer, tls: Tls, policy: Policy
) -> None:
    secured.act("STARTTLS", _go_and_drop)
    outcome = await is_refused(secured, tls, policy)
    assert outcome.category is Category.NETWORK


async def _go_and_drop(connection: Connection) -> None:
    await connection.send("220 Go")
    await connection.some()
    await drop(connection)


async def _go_and_hang(connection: Connection) -> None:
    await connection.send("220 Go")
    await hang(connection)


@pytest.mark.parametrize("policy", SAFE, ids=short)
async def test_a_host_that_hangs_in_the_handshake_gets_no_mail(
    secured: SmtpServer, tls: Tls, policy: Policy
) -> None:
    secured.act("STARTTLS", _go_and_hang)
    async with client(settings(ehlo=SOON), tls) as sender:
        (outcome,) = (await carry(sender, host(secured, policy))).outcomes
    assert outcome.verdict is Verdict.INSECURE
    assert not said(secured) & {"MAIL", "RCPT", "DATA"}


@pytest.mark.parametrize("policy", [*SAFE, OPPORTUNISTIC, TESTING], ids=short)
@pytest.mark.parametrize("extra", [b"250 injected\r\n", b"2"])
async def test_bytes_injected_before_tls_end_the_session(
    secured: SmtpServer, tls: Tls, policy: Policy, extra: bytes
) -> None:
    secured.reply("STARTTLS", b"220 Go\r\n" + extra)
    outcome = await attempt(tls, host(secured, policy))
    assert outcome.verdict is Verdict.UNREACHED
    assert not said(secured) & {"MAIL", "RCPT", "DATA"}


@pytest.mark.parametrize("policy", SAFE, ids=short)
async def test_tls_before_1_2_will_not_do(tls: Tls, policy: Policy) -> None:
    async with SmtpServer(certificate=context(LEAF, ssl.TLSVersion.TLSv1_1)) as server:
        await is_refused(server, tls, policy)


async def test_without_a_policy_a_host_with_old_tls_gets_its_mail_in_plain_text(tls: Tls) -> None:
    async with SmtpServer(certificate=context(LEAF, ssl.TLSVersion.TLSv1_1)) as server:
        outcome = await attempt(tls, host(server, OPPORTUNISTIC))
        assert outcome.verdict is Verdict.DELIVERED
        assert (peer_of(outcome).tls, peer_of(outcome).certificate) == (None, None)
        assert server.mails[0].tls is None


async def test_that_a_host_is_met_in_plain_text_does_not_bear_on_its_policies(
    secured: SmtpServer, tls: Tls
) -> None:
    secured.reply("STARTTLS", "454 4.7.0 Not now", times=1)
    async with sending(tls) as sender:
        (plain,) = (await carry(sender, host(secured, OPPORTUNISTIC))).outcomes
        (safe,) = (await carry(sender, host(secured, MTA_STS))).outcomes
    assert [peer_of(outcome).tls for outcome in (plain, safe)] == [None, "TLSv1.3"]


@pytest.mark.parametrize("name", ["\\\\001" * 20 + ".x.example", "a" * 64 + ".example"])
async def test_a_name_that_no_tls_can_be_had_for_takes_it_from_no_other_at_its_address(
    secured: SmtpServer, tls: Tls, name: str
) -> None:
    # Anybody may publish such a name for anybody's address.
    async with sending(tls) as sender:
        (first,) = (await carry(sender, host(secured, OPPORTUNISTIC, name))).outcomes
        (second,) = (await carry(sender, host(secured, OPPORTUNISTIC))).outcomes
    assert peer_of(first).tls is None
    assert peer_of(second).tls


async def test_the_settings_may_want_no_tls(secured: SmtpServer, tls: Tls) -> None:
    outcome = await attempt(tls, host(secured, Policy(TlsPolicy.NONE, Proof.PLAIN)))
    assert (outcome.verdict, peer_of(outcome).tls) == (Verdict.DELIVERED, None)
    assert "STARTTLS" not in said(secured)


async def test_a_session_is_never_shared_under_different_policies(
    secured: SmtpServer, tls: Tls
) -> None:
    policies = [OPPORTUNISTIC, TESTING, VERIFIED, MTA_STS, PINNED, dane(OWN)]
    async with sending(tls) as sender:
        for policy in [*policies, *policies]:
            await carry(sender, host(secured, policy))
    assert [mail.session for mail in secured.mails] == [1, 2, 3, 4, 5, 6] * 2


async def test_the_next_host_is_tried_when_one_fails_the_policy(tls: Tls) -> None:
    async with smtp_servers("127.0.0.2", "127.0.0.3", "127.0.0.4") as servers:
        servers[1].certificate = context(trustme.CA().issue_cert(NAME))
        servers[2].certificate = context(LEAF)
        outcome = await attempt(tls, *(host(server, MTA_STS) for server in servers))
    assert outcome.verdict is Verdict.DELIVERED
    assert peer_of(outcome).address == "127.0.0.4"


async def test_a_barred_host_is_not_connected_to(secured: SmtpServer, tls: Tls) -> None:
    barred = Policy(TlsPolicy.MTA_STS, bar=Bar("not listed", Category.POLICY))
    outcome = await attempt(tls, host(secured, barred))
    assert (outcome.verdict, outcome.text) == (Verdict.INSECURE, "not listed")
    assert peer_of(outcome).host == NAME
    assert not secured.sessions
    delivered = await attempt(tls, host(secured, barred), host(secured, MTA_STS))
    assert delivered.verdict is Verdict.DELIVERED


async def test_a_host_that_failed_is_left_alone_for_a_moment(tls: Tls) -> None:
    async with SmtpServer() as server, sending(tls) as sender:
        first = (await carry(sender, host(server, MTA_STS))).outcomes
        second = (await carry(sender, host(server, MTA_STS))).outcomes
        assert first == second
        assert len(server.sessions) == 1
        (other,) = (await carry(sender, host(server, OPPORTUNISTIC))).outcomes
        assert other.verdict is Verdict.DELIVERED


async def test_what_one_host_lacks_does_not_count_against_others(tls: Tls) -> None:
    async with SmtpServer() as server, sending(tls) as sender:
        for _ in range(3):
            await carry(sender, host(server, MTA_STS))
        (other,) = (await carry(sender, host(server, OPPORTUNISTIC))).outcomes
    assert other.verdict is Verdict.DELIVERED


async def test_requiretls_is_passed_on_where_it_is_demanded(secured: SmtpServer, tls: Tls) -> None:
    async with sending(tls) as sender:
        demanded = await carry(sender, host(secured, REQUIRETLS))
        await carry(sender, host(secured, VERIFIED))
    assert [line for line in texts(demanded, ">") if line.endswith(" REQUIRETLS")]
    assert ["REQUIRETLS" in mail.parameters for mail in secured.mails] == [True, False]


async def test_a_host_that_does_not_offer_requiretls_is_no_way(tls: Tls) -> None:
    async with SmtpServer(certificate=context(LEAF)) as server:
        outcome = await attempt(tls, host(server, REQUIRETLS))
        assert not said(server) & {"MAIL", "RCPT", "DATA"}
    assert (outcome.verdict, outcome.category) == (Verdict.BOUNCED, Category.POLICY)
    assert outcome.text.startswith("5.7.30 ")
    assert outcome.needs_second_look


async def test_an_offer_of_requiretls_before_tls_counts_for_nothing(tls: Tls) -> None:
    async with SmtpServer(certificate=context(LEAF)) as server:
        server.reply("EHLO", "250-fake.example\r\n250-REQUIRETLS\r\n250 STARTTLS", times=1)
        outcome = await attempt(tls, host(server, REQUIRETLS))
    assert outcome.text.startswith("5.7.30 ")


async def test_no_host_bounces_while_another_may_offer_requiretls(tls: Tls) -> None:
    async with smtp_servers("127.0.0.2", "127.0.0.3") as servers:
        servers[0].certificate = context(LEAF)
        outcome = await attempt(tls, *(host(server, REQUIRETLS) for server in servers))
    assert outcome.verdict in {Verdict.DEFERRED, Verdict.INSECURE}
