"""Which policy a host gets: who asks for what, and who wins."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.events import Category, TlsPolicy
from app.messages import TlsWish
from app.spool.workers.policies import Mode, StsPolicy
from worker.policies.policy import OPPORTUNISTIC, Dane, Policy, Proof, Terms, decide
from worker.routing.answers import Failed, Tlsa

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOST, DOMAIN = "mx.x.example", "x.example"
RECORD = Tlsa(3, 1, 1, b"x" * 32)
DANE = Dane("mx.y.example", (HOST, DOMAIN), (RECORD,))
UNUSABLE = Dane(HOST, (HOST, DOMAIN), ())
BOGUS = Failed("SERVFAIL")


def _sts(mode: Mode = Mode.ENFORCE, host: str = HOST) -> StsPolicy:
    return StsPolicy("1", mode, (host,), NOW, NOW)


def _policy(
    wish: TlsWish = TlsWish.OPPORTUNISTIC,
    sts: StsPolicy | None = None,
    dane: Dane | Failed | None = None,
    *,
    is_signed: bool = False,
    is_plain: bool = False,
) -> Policy:
    return decide(Terms(DOMAIN, HOST, sts, dane, is_signed, is_plain), wish)


@pytest.mark.parametrize(
    ("sts", "dane", "origin", "proof"),
    [
        (None, None, TlsPolicy.OPPORTUNISTIC, Proof.NOTHING),
        (_sts(), None, TlsPolicy.MTA_STS, Proof.CERTIFICATE),
        (_sts(Mode.TESTING), None, TlsPolicy.MTA_STS_TESTING, Proof.NOTHING),
        (_sts(Mode.TESTING, "other.example"), None, TlsPolicy.MTA_STS_TESTING, Proof.NOTHING),
        (None, DANE, TlsPolicy.DANE, Proof.TLSA),
        (_sts(), DANE, TlsPolicy.DANE, Proof.TLSA),
        (_sts(host="other.example"), DANE, TlsPolicy.DANE, Proof.TLSA),
        (None, UNUSABLE, TlsPolicy.DANE, Proof.ENCRYPTION),
        (_sts(Mode.TESTING), UNUSABLE, TlsPolicy.DANE, Proof.ENCRYPTION),
        (_sts(), UNUSABLE, TlsPolicy.MTA_STS, Proof.CERTIFICATE),
    ],
)
def test_the_receiver_is_given_what_it_asks_for(
    sts: StsPolicy | None, dane: Dane | None, origin: TlsPolicy, proof: Proof
) -> None:
    policy = _policy(sts=sts, dane=dane)
    assert (policy.origin, policy.proof, policy.bar) == (origin, proof, None)


def test_dane_names_the_host_by_where_its_records_are() -> None:
    policy = _policy(dane=DANE)
    assert (policy.server_name, policy.names) == ("mx.y.example", (HOST, DOMAIN))
    assert policy.tlsa == (RECORD,)


def test_a_host_that_the_policy_does_not_list_is_barred() -> None:
    bar = _policy(sts=_sts(host="other.example")).bar
    assert bar
    assert bar.category is Category.POLICY
    assert HOST in bar.text
    assert not bar.is_final


@pytest.mark.parametrize("sts", [None, _sts(), _sts(Mode.TESTING)])
@pytest.mark.parametrize("wish", [TlsWish.OPPORTUNISTIC, TlsWish.VERIFIED, TlsWish.REQUIRE])
def test_nothing_makes_up_for_a_failure_of_dane(sts: StsPolicy | None, wish: TlsWish) -> None:
    bar = _policy(wish, sts, BOGUS).bar
    assert bar
    assert bar.category is Category.NETWORK
    assert "SERVFAIL" in bar.text


@pytest.mark.parametrize(
    ("sts", "dane", "origin", "proof"),
    [
        (None, None, TlsPolicy.VERIFIED, Proof.CERTIFICATE),
        (_sts(), None, TlsPolicy.MTA_STS, Proof.CERTIFICATE),
        (_sts(Mode.TESTING), None, TlsPolicy.VERIFIED, Proof.CERTIFICATE),
        (None, DANE, TlsPolicy.DANE, Proof.TLSA),
        (None, UNUSABLE, TlsPolicy.VERIFIED, Proof.CERTIFICATE),
    ],
)
def test_a_message_may_demand_a_certificate(
    sts: StsPolicy | None, dane: Dane | None, origin: TlsPolicy, proof: Proof
) -> None:
    policy = _policy(TlsWish.VERIFIED, sts, dane)
    assert (policy.origin, policy.proof, policy.bar) == (origin, proof, None)
    assert not policy.requires_extension


@pytest.mark.parametrize(
    ("sts", "dane", "is_signed", "proof"),
    [
        (None, None, True, Proof.CERTIFICATE),
        (_sts(), None, False, Proof.CERTIFICATE),
        (_sts(Mode.TESTING), None, False, Proof.CERTIFICATE),
        (None, DANE, True, Proof.TLSA),
        (None, UNUSABLE, True, Proof.CERTIFICATE),
    ],
)
def test_requiretls_wants_a_proof_and_the_extension(
    sts: StsPolicy | None, dane: Dane | None, is_signed: bool, proof: Proof
) -> None:
    policy = _policy(TlsWish.REQUIRE, sts, dane, is_signed=is_signed)
    assert (policy.origin, policy.proof, policy.bar) == (TlsPolicy.REQUIRETLS, proof, None)
    assert policy.requires_extension


@pytest.mark.parametrize("sts", [None, _sts(Mode.TESTING, "other.example")])
def test_requiretls_wants_somebody_to_vouch_for_the_list_of_hosts(sts: StsPolicy | None) -> None:
    bar = _policy(TlsWish.REQUIRE, sts).bar
    assert bar
    assert bar.is_final
    assert "5.7.30" in bar.text


@pytest.mark.parametrize("sts", [None, _sts(), _sts(host="other.example")])
@pytest.mark.parametrize("dane", [None, DANE, UNUSABLE, BOGUS])
def test_a_message_may_set_aside_what_the_receiver_asks_for(
    sts: StsPolicy | None, dane: Dane | Failed | None
) -> None:
    assert _policy(TlsWish.OPTIONAL, sts, dane) == OPPORTUNISTIC


def test_the_settings_may_want_no_tls_unless_somebody_asks_for_it() -> None:
    assert _policy(is_plain=True) == Policy(TlsPolicy.NONE, Proof.PLAIN)
    assert _policy(is_plain=True, sts=_sts()).proof is Proof.CERTIFICATE
    assert _policy(is_plain=True, dane=UNUSABLE).proof is Proof.ENCRYPTION
    assert _policy(TlsWish.VERIFIED, is_plain=True).proof is Proof.CERTIFICATE


def test_domains_with_the_same_kind_of_policy_may_share_connections() -> None:
    one = decide(Terms("a.example", HOST, _sts()), TlsWish.OPPORTUNISTIC)
    other = decide(Terms("b.example", HOST, _sts(host="*.x.example")), TlsWish.OPPORTUNISTIC)
    assert one == other
