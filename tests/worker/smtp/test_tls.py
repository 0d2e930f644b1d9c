"""Certificates over real TLS: which of them get a mail under which policy."""

from __future__ import annotations

import ssl
from hashlib import sha256
from pathlib import Path

import pytest
import trustme

from app.errors import ConfigurationError
from app.events import Category, Certificate
from tests.fakes.smtp import SmtpServer
from tests.worker.smtp.secured import (
    AUTHORITY,
    BY_AUTHORITY,
    ENCRYPTED,
    LEAF,
    LONG_AGO,
    MTA_STS,
    NAME,
    OPPORTUNISTIC,
    OTHER,
    OWN,
    OWN_AUTHORITY,
    PINNED,
    REQUIRETLS,
    TESTING,
    VERIFIED,
    attempt,
    context,
    dane,
    der,
    host,
    is_refused,
    peer_of,
    short,
)
from worker.outcomes.outcome import Verdict
from worker.policies.policy import Policy
from worker.routing.answers import Tlsa
from worker.smtp.tls import Tls


@pytest.mark.parametrize(
    ("policy", "certificate"),
    [
        (OPPORTUNISTIC, Certificate.VALID),
        (TESTING, Certificate.VALID),
        (ENCRYPTED, Certificate.VALID),
        (VERIFIED, Certificate.VALID),
        (MTA_STS, Certificate.VALID),
        (REQUIRETLS, Certificate.VALID),
        (PINNED, Certificate.PINNED),
        (dane(OWN_AUTHORITY), Certificate.PINNED),
    ],
)
async def test_a_good_host_gets_the_mail_and_the_event_says_how(
    secured: SmtpServer, tls: Tls, policy: Policy, certificate: Certificate
) -> None:
    outcome = await attempt(tls, host(secured, policy))
    assert outcome.verdict is Verdict.DELIVERED
    peer = peer_of(outcome)
    assert (peer.tls, peer.policy, peer.certificate) == ("TLSv1.3", policy.origin, certificate)
    assert peer.cipher
    assert peer.cipher.startswith("TLS_")
    assert secured.mails[0].tls == "TLSv1.3"


BROKEN = {
    "expired": (
        AUTHORITY.issue_cert(NAME, not_before=LONG_AGO[0], not_after=LONG_AGO[1]),
        Certificate.EXPIRED,
    ),
    "self-signed": (trustme.CA().issue_cert(NAME), Certificate.UNTRUSTED),
    "wrong name": (AUTHORITY.issue_cert("mx.elsewhere.example"), Certificate.WRONG_NAME),
    "name in the subject only": (AUTHORITY.issue_cert(common_name=NAME), Certificate.WRONG_NAME),
    "wildcard for two labels": (AUTHORITY.issue_cert("*.net"), Certificate.WRONG_NAME),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("policy", BY_AUTHORITY, ids=short)
async def test_a_certificate_that_will_not_do_gets_no_mail(
    tls: Tls, policy: Policy, broken: str
) -> None:
    leaf, certificate = BROKEN[broken]
    async with SmtpServer(certificate=context(leaf)) as server:
        outcome = await is_refused(server, tls, policy)
    assert outcome.category is Category.AUTHENTICATION
    assert peer_of(outcome).certificate is certificate


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("policy", [OPPORTUNISTIC, TESTING, ENCRYPTED], ids=short)
async def test_where_nothing_is_insisted_on_the_certificate_is_told(
    tls: Tls, policy: Policy, broken: str
) -> None:
    leaf, certificate = BROKEN[broken]
    async with SmtpServer(certificate=context(leaf)) as server:
        outcome = await attempt(tls, host(server, policy))
    assert outcome.verdict is Verdict.DELIVERED
    assert peer_of(outcome).certificate is certificate


async def test_a_chain_without_its_middle_will_not_do(tls: Tls, tmp_path: Path) -> None:
    LEAF.private_key_pem.write_to_path(tmp_path / "key")
    LEAF.cert_chain_pems[0].write_to_path(tmp_path / "certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    async with SmtpServer(certificate=context) as server:
        outcome = await is_refused(server, tls, MTA_STS)
        assert peer_of(outcome).certificate is Certificate.UNTRUSTED
        # The record of the middle does not help either, that of the end does.
        await is_refused(server, tls, dane(OWN_AUTHORITY))
        assert (await attempt(tls, host(server, dane(OWN)))).verdict is Verdict.DELIVERED


async def test_a_certificate_that_no_tlsa_record_fits_gets_no_mail(
    secured: SmtpServer, tls: Tls
) -> None:
    outcome = await is_refused(secured, tls, dane(OTHER))
    assert outcome.category is Category.AUTHENTICATION
    assert peer_of(outcome).certificate is Certificate.UNPINNED


@pytest.mark.parametrize("broken", ["expired", "self-signed", "wrong name"])
async def test_by_the_record_of_an_end_names_times_and_authorities_do_not_matter(
    tls: Tls, broken: str
) -> None:
    leaf, _ = BROKEN[broken]
    record = Tlsa(3, 0, 1, sha256(der(leaf.cert_chain_pems[0])).digest())
    async with SmtpServer(certificate=context(leaf)) as server:
        outcome = await attempt(tls, host(server, dane(record)))
    assert outcome.verdict is Verdict.DELIVERED
    assert peer_of(outcome).certificate is Certificate.PINNED


async def test_by_the_record_of_an_authority_the_name_matters(
    secured: SmtpServer, tls: Tls
) -> None:
    policy = dane(OWN_AUTHORITY, base="mx.elsewhere.example")
    outcome = await is_refused(secured, tls, policy)
    assert peer_of(outcome).certificate is Certificate.WRONG_NAME


async def test_the_host_is_asked_for_by_name(secured: SmtpServer, tls: Tls) -> None:
    asked: list[str | None] = []
    assert secured.certificate
    secured.certificate.sni_callback = lambda _, name, __: asked.append(name)
    await attempt(tls, host(secured, OPPORTUNISTIC))
    await attempt(tls, host(secured, MTA_STS))
    await attempt(tls, host(secured, dane(OWN, base="base.example.net")))
    assert asked == [NAME, NAME, "base.example.net"]


def test_authorities_that_cannot_be_read_stop_the_start(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(ConfigurationError, match=r"tls\.authorities"):
            Tls(path)
    (tmp_path / "empty").write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"tls\.authorities"):
        Tls(tmp_path / "empty")
