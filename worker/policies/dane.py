"""Which TLSA records speak for a host that takes mail for a domain (RFC 7672 §2.2).

Only where DNSSEC vouches for each step on the way: from the domain to its hosts, from a host to its
addresses, and to the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from cryptography.x509 import Certificate, InvalidVersion, load_der_x509_certificate

from worker.policies.policy import Dane
from worker.routing.answers import Answer, Exchanger, Failed, Found, NoData, Tlsa
from worker.routing.hosts import Host
from worker.routing.resolver import Resolver

AUTHORITY, END = 2, 3
"""Usages that mail knows: DANE-TA and DANE-EE (RFC 7672 §3.1)."""
WHOLE, SHA_256, SHA_512 = 0, 1, 2
"""Matching types (RFC 6698 §2.1.3)."""
CERTIFICATE, KEY = 0, 1
"""Selectors (RFC 6698 §2.1.2)."""

_LENGTHS = {SHA_256: 32, SHA_512: 64}


def is_signed(answer: Answer[Exchanger]) -> bool:
    """Tell whether DNSSEC vouches for a domain's list of hosts; it may be its own host (RFC 5321 §5.1)."""
    return isinstance(answer, Found | NoData) and answer.is_secure


async def dane_of(resolver: Resolver, domain: str, host: Host) -> Dane | Failed | None:
    """Return what DANE says of a host that a validated list names; None where it says nothing.

    Failed means that nobody can tell: the host must not be connected to (RFC 7672 §2.1.2).
    """
    bases = await _bases(resolver, host.name)
    if isinstance(bases, Failed):
        return bases
    for base in bases:
        answer = await resolver.tlsa(f"_{host.port}._tcp.{base}")
        if isinstance(answer, Failed):
            return answer
        if isinstance(answer, Found) and answer.is_secure:
            names = tuple(dict.fromkeys((base, host.name, domain)))
            return Dane(base, names, usable(answer.records))
    return None


async def _bases(resolver: Resolver, name: str) -> Sequence[str] | Failed:
    """Return the names that the TLSA records of a host may stand at, best first (RFC 7672 §2.2.2, §2.2.3)."""
    addresses = await _addresses(resolver, name)
    if isinstance(addresses, Failed):
        return addresses
    if not isinstance(addresses, Found):
        return ()
    if addresses.is_secure:
        return tuple(dict.fromkeys((addresses.owner, name)))
    if addresses.owner == name:
        return ()
    # A host that is an alias in a signed zone for one in an unsigned zone may have records of its own.
    alias = await resolver.alias(name)
    if isinstance(alias, Failed):
        return alias
    return (name,) if isinstance(alias, Found) and alias.is_secure else ()


async def _addresses(resolver: Resolver, name: str) -> Answer[str]:
    """Return the addresses of one family, which tell as much as both; Failed before a no half known."""
    ipv4 = await resolver.ipv4(name)
    if isinstance(ipv4, Found):
        return ipv4
    ipv6 = await resolver.ipv6(name)
    return ipv4 if isinstance(ipv4, Failed) and not isinstance(ipv6, Found) else ipv6


def usable(records: Iterable[Tlsa]) -> tuple[Tlsa, ...]:
    """Return the records that can be matched, sorted, the strongest digest of each kind only (RFC 7671 §9).

    Not usable are the usages of RFC 6698 that need the web's authorities (RFC 7672 §3.1.3), and what is
    malformed.
    """
    good = sorted({record for record in records if _is_usable(record)}, key=_kind)
    chosen: list[Tlsa] = []
    for _, alike in groupby(good, key=lambda record: _kind(record)[:2]):
        several = list(alike)
        strongest = max(record.matching for record in several)
        chosen += [record for record in several if record.matching in {WHOLE, strongest}]
    return tuple(chosen)


def _kind(record: Tlsa) -> tuple[int, int, int, bytes]:
    return record.usage, record.selector, record.matching, record.data


def _is_usable(record: Tlsa) -> bool:
    if record.usage not in {AUTHORITY, END} or record.selector not in {CERTIFICATE, KEY}:
        return False
    if record.matching == WHOLE:
        return bool(record.data) and (
            record.selector == KEY or read_certificate(record.data) is not None
        )
    return len(record.data) == _LENGTHS.get(record.matching)


def read_certificate(encoded: bytes) -> Certificate | None:
    """Return the certificate in this DER form; None where it cannot be read, or is of no known version."""
    try:
        return load_der_x509_certificate(encoded)
    except (ValueError, InvalidVersion):  # the latter is no ValueError
        return None
