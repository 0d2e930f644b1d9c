"""Policies: what a connection to a host has to fulfil before mail goes over it, and who says so. Pure.

The policy of a host is decided for each recipient domain and message before connections are shared, and is
part of what a shared connection is known by: one domain's policy never bears on the mail of another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from app.events import Category, TlsPolicy
from app.messages import TlsWish
from app.spool.workers.policies import Mode, StsPolicy
from worker.policies.mtasts import lists
from worker.routing.answers import Failed, Tlsa


class Proof(StrEnum):
    """What a connection has to prove."""

    PLAIN = "plain"
    """Nothing, and TLS is not even tried."""
    NOTHING = "nothing"
    """Nothing: TLS with any certificate, or plain text."""
    ENCRYPTION = "encryption"
    """TLS from 1.2 on, with any certificate."""
    CERTIFICATE = "certificate"
    """TLS with a certificate of a trusted authority for the host's name."""
    TLSA = "tlsa"
    """TLS with a certificate that one of the TLSA records fits."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Why a host is not to be connected to at all. `is_final` tells that waiting would not help."""

    text: str
    category: Category
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What a connection has to fulfil, and where that comes from.

    `server_name` is told to the host (SNI), empty for its own name; `names` are those that a certificate
    below a TLSA authority may be for. `requires_extension` wants REQUIRETLS to be offered.
    """

    origin: TlsPolicy = TlsPolicy.OPPORTUNISTIC
    proof: Proof = Proof.NOTHING
    server_name: str = ""
    names: tuple[str, ...] = ()
    tlsa: tuple[Tlsa, ...] = ()
    requires_extension: bool = False
    bar: Bar | None = None


@dataclass(frozen=True, slots=True)
class Dane:
    """What DANE says of a host: the TLSA records that can be used, found at `base`.

    None of them means that TLS is wanted, but nothing is to be proven (RFC 7672 §2.2).
    """

    base: str
    names: tuple[str, ...]
    records: tuple[Tlsa, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """What is known of one host of a domain.

    `dane` is None where DANE does not apply, Failed where nobody can tell. `is_signed` tells whether DNSSEC
    vouches for the domain's list of hosts; `is_plain` whether the settings want no TLS; `is_unsure`
    whether there may be an MTA-STS policy that cannot be had now.
    """

    domain: str
    host: str
    sts: StsPolicy | None = None
    dane: Dane | Failed | None = None
    is_signed: bool = False
    is_plain: bool = False
    is_unsure: bool = False


OPPORTUNISTIC = Policy()


def decide(terms: Terms, wish: TlsWish) -> Policy:
    """Return the policy for one host.

    DANE comes before MTA-STS, which never makes up for a failure of DANE (RFC 8461 §2). What the message
    demands comes on top of what the receiver asks for; `TLS-Required: No` sets both aside (RFC 8689 §5).
    """
    if wish is TlsWish.OPTIONAL:
        return OPPORTUNISTIC
    asked = _asked_by_receiver(terms)
    if asked.bar or wish is TlsWish.OPPORTUNISTIC:
        return asked
    demanded = asked if asked.proof in _PROVEN else _certificate(asked, TlsPolicy.VERIFIED)
    if wish is TlsWish.VERIFIED:
        return demanded
    return _with_extension(demanded, terms)


_PROVEN = frozenset({Proof.CERTIFICATE, Proof.TLSA})


def _asked_by_receiver(terms: Terms) -> Policy:
    dane = terms.dane
    if isinstance(dane, Failed):
        # RFC 7672 §2.1.2: who cannot tell whether there are TLSA records must not go on without them.
        text = f"4.7.5 the DNS cannot tell the TLSA records of {terms.host}: {dane.reason}"
        return Policy(TlsPolicy.DANE, bar=Bar(text, Category.NETWORK))
    if dane and dane.records:
        return Policy(TlsPolicy.DANE, Proof.TLSA, dane.base, dane.names, dane.records)
    unauthenticated = Policy(TlsPolicy.DANE, Proof.ENCRYPTION) if dane else None
    if terms.sts:
        return _by_sts(terms.sts, terms, unauthenticated)
    if unauthenticated:
        return unauthenticated
    return Policy(TlsPolicy.NONE, Proof.PLAIN) if terms.is_plain else OPPORTUNISTIC


def _by_sts(sts: StsPolicy, terms: Terms, floor: Policy | None) -> Policy:
    if sts.mode is not Mode.ENFORCE:
        return floor or Policy(TlsPolicy.MTA_STS_TESTING)
    if not lists(sts, terms.host):
        text = f"4.7.5 {terms.host} is not among the hosts of the MTA-STS policy of {terms.domain}"
        return Policy(TlsPolicy.MTA_STS, bar=Bar(text, Category.POLICY))
    return Policy(TlsPolicy.MTA_STS, Proof.CERTIFICATE)


def _certificate(asked: Policy, origin: TlsPolicy) -> Policy:
    return replace(asked, origin=origin, proof=Proof.CERTIFICATE)


def _with_extension(demanded: Policy, terms: Terms) -> Policy:
    # RFC 8689 §4.2.1: somebody has to vouch for the list of hosts, or the mail could be led to any host.
    is_listed = terms.sts is not None and lists(terms.sts, terms.host)
    if not terms.is_signed and not is_listed:
        text = f"neither DNSSEC nor an MTA-STS policy says that {terms.host} takes mail for {terms.domain}"
        if terms.is_unsure:
            bar = Bar(f"4.7.5 {text}: the policy cannot be had now", Category.POLICY)
        else:
            bar = Bar(f"5.7.30 {text}", Category.POLICY, is_final=True)
        return Policy(TlsPolicy.REQUIRETLS, bar=bar)
    return replace(demanded, origin=TlsPolicy.REQUIRETLS, requires_extension=True)
