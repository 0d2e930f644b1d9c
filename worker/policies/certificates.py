"""What is to be said of the certificates that a host showed. Pure.

Where a policy wants a certificate that authorities vouch for, OpenSSL insists on it in the handshake. What
is said here is for DANE (RFC 7672 §3), and for telling what was seen where nothing was insisted on.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256, sha512
from itertools import product

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import (
    BasicConstraints,
    DNSName,
    SubjectAlternativeName,
)
from cryptography.x509 import Certificate as X509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from app.events import Certificate
from worker.policies.dane import AUTHORITY, END, KEY, WHOLE, read_certificate
from worker.routing.answers import Tlsa

Chain = Sequence[X509]
"""Certificates as a host sent them: its own, then those that lead to an authority."""

# The profile of the web's browsers, which is the library's own, refuses much that mail servers show.
_OF_AUTHORITIES = ExtensionPolicy.permit_all().require_present(
    BasicConstraints, Criticality.AGNOSTIC, None
)
_OF_HOSTS = ExtensionPolicy.permit_all().require_present(
    SubjectAlternativeName, Criticality.AGNOSTIC, None
)


def read_chain(encoded: Iterable[bytes]) -> Chain | None:
    """Return the certificates in these DER forms; None where one cannot be read, or there is none."""
    read = [read_certificate(each) for each in encoded]
    chain = [each for each in read if each]
    return chain if chain and len(chain) == len(read) else None


@dataclass(frozen=True, slots=True)
class Judge:
    """Says what a chain is worth to those who trust these authorities."""

    authorities: Store | None

    @classmethod
    def trusting(cls, encoded: Iterable[bytes]) -> Judge:
        """Return a judge that trusts these authorities, in DER; one that cannot be read is left out."""
        with warnings.catch_warnings():
            # Some old ones have a serial number below zero, which the library wants to refuse some day.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            found = [each for each in map(read_certificate, encoded) if each]
        return cls(Store(found) if found else None)

    def verdict(self, chain: Chain | None, name: str, now: datetime) -> Certificate:
        """Return what a certificate for a host of this name is worth."""
        if chain is None or self.authorities is None:
            return Certificate.UNTRUSTED
        return _verdict(chain, name, self.authorities, now)


def pinned(
    chain: Chain | None, records: Iterable[Tlsa], names: Sequence[str], now: datetime
) -> Certificate:
    """Return what a chain is worth by these usable TLSA records: `pinned` as soon as one of them fits.

    An end's record stands for itself: names and times do not matter (RFC 7672 §3.1.1). An authority's record
    vouches for a chain that leads to it, for one of `names`, in its time (§3.1.2).
    """
    if chain is None:
        return Certificate.UNPINNED
    verdicts = [_by_record(chain, record, names, now) for record in records]
    if Certificate.PINNED in verdicts:
        return Certificate.PINNED
    # What an authority's record nearly vouched for tells more than that no record fits.
    return next(
        (each for each in verdicts if each is not Certificate.UNPINNED), Certificate.UNPINNED
    )


def _by_record(chain: Chain, record: Tlsa, names: Sequence[str], now: datetime) -> Certificate:
    if record.usage == END:
        return Certificate.PINNED if _fits(record, chain[0]) else Certificate.UNPINNED
    verdict = Certificate.UNPINNED
    for authority, name in product(_authorities(chain, record), names):
        verdict = _verdict(chain, name, Store([authority]), now)
        if verdict is Certificate.VALID:
            return Certificate.PINNED
    return verdict


def _authorities(chain: Chain, record: Tlsa) -> Iterable[X509]:
    """Give the certificates that a record names as authority: of the chain, or the one in the record itself."""
    if record.usage != AUTHORITY:
        return
    yield from (each for each in chain[1:] if _fits(record, each))
    if record.matching == WHOLE and record.selector != KEY:
        yield from filter(None, [read_certificate(record.data)])


def _fits(record: Tlsa, certificate: X509) -> bool:
    selected = _selected(record.selector, certificate)
    match record.matching:
        case 0:
            return record.data == selected
        case 1:
            return record.data == sha256(selected).digest()
        case _:
            return record.data == sha512(selected).digest()


def _selected(selector: int, certificate: X509) -> bytes:
    if selector != KEY:
        return certificate.public_bytes(Encoding.DER)
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return b""  # a kind of key that nobody here can use, and so no handshake ended with
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _verdict(chain: Chain, name: str, authorities: Store, now: datetime) -> Certificate:
    own, *others = chain
    if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
        return Certificate.EXPIRED
    builder = PolicyBuilder().store(authorities).time(now.astimezone(UTC).replace(tzinfo=None))
    policies = builder.extension_policies(ca_policy=_OF_AUTHORITIES, ee_policy=_OF_HOSTS)
    try:
        policies.build_server_verifier(DNSName(name)).verify(own, others)
    except VerificationError as error:
        is_other = "no matching subjectAltName" in str(error)
        return Certificate.WRONG_NAME if is_other else Certificate.UNTRUSTED
    except ValueError:  # what is no host name has no certificate
        return Certificate.WRONG_NAME
    return Certificate.VALID
