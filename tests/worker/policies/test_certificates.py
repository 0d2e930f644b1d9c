"""What certificates are worth: to those who trust authorities, and by TLSA records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256, sha512

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from app.events import Certificate
from worker.policies.certificates import Chain, Judge, pinned, read_chain
from worker.policies.dane import usable
from worker.routing.answers import Tlsa

NOW = datetime.now(UTC)
NAME = "mx.example.net"
ROOT = trustme.CA()
BETWEEN = ROOT.create_child_ca()


def _der(pem: trustme.Blob) -> bytes:
    return load_pem_x509_certificate(pem.bytes()).public_bytes(Encoding.DER)


def _chain(leaf: trustme.LeafCert) -> Chain:
    chain = read_chain([_der(pem) for pem in leaf.cert_chain_pems])
    assert chain
    return chain


def _key(certificate: bytes) -> bytes:
    chain = read_chain([certificate])
    assert chain
    public = chain[0].public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


GOOD = _chain(BETWEEN.issue_cert(NAME))
OLD = _chain(
    BETWEEN.issue_cert(
        NAME,
        not_before=datetime(2019, 1, 1, tzinfo=UTC),
        not_after=datetime(2020, 1, 1, tzinfo=UTC),
    )
)
ELSEWHERE = _chain(BETWEEN.issue_cert("elsewhere.example"))
LEAF = GOOD[0].public_bytes(Encoding.DER)
MIDDLE, TOP = _der(BETWEEN.cert_pem), _der(ROOT.cert_pem)
JUDGE = Judge.trusting([TOP, b"no certificate"])


def _record(usage: int, selector: int, matching: int, certificate: bytes) -> Tlsa:
    selected = _key(certificate) if selector else certificate
    digests = {0: selected, 1: sha256(selected).digest(), 2: sha512(selected).digest()}
    return Tlsa(usage, selector, matching, digests[matching])


@pytest.mark.parametrize(
    ("chain", "name", "verdict"),
    [
        (GOOD, NAME, Certificate.VALID),
        (GOOD, NAME.upper(), Certificate.VALID),
        (GOOD, "elsewhere.example", Certificate.WRONG_NAME),
        (GOOD, "not a name", Certificate.WRONG_NAME),
        (OLD, NAME, Certificate.EXPIRED),
        (GOOD[:1], NAME, Certificate.UNTRUSTED),
        (_chain(trustme.CA().issue_cert(NAME)), NAME, Certificate.UNTRUSTED),
        (_chain(ROOT.issue_cert("*.example.net")), NAME, Certificate.VALID),
        (_chain(ROOT.issue_cert("*.example.net")), "a.mx.example.net", Certificate.WRONG_NAME),
        (_chain(ROOT.issue_cert("*.example.net")), "example.net", Certificate.WRONG_NAME),
        (_chain(ROOT.issue_cert(common_name=NAME)), NAME, Certificate.WRONG_NAME),
        (None, NAME, Certificate.UNTRUSTED),
    ],
)
def test_a_chain_is_worth_what_authorities_say(
    chain: Chain | None, name: str, verdict: Certificate
) -> None:
    assert JUDGE.verdict(chain, name, NOW) is verdict


def test_a_certificate_is_worth_nothing_before_its_time() -> None:
    long_ago = NOW - timedelta(days=36_500)
    assert JUDGE.verdict(GOOD, NAME, long_ago) is Certificate.EXPIRED


def test_who_trusts_nobody_trusts_no_certificate() -> None:
    assert Judge.trusting([]).verdict(GOOD, NAME, NOW) is Certificate.UNTRUSTED


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest.mark.parametrize("chain", [GOOD, OLD, ELSEWHERE])
def test_the_record_of_an_end_stands_for_itself(chain: Chain, selector: int, matching: int) -> None:
    own = chain[0].public_bytes(Encoding.DER)
    (record,) = usable([_record(3, selector, matching, own)])
    assert pinned(chain, [record], (NAME,), NOW) is Certificate.PINNED
    (other,) = usable([_record(3, selector, matching, MIDDLE)])
    assert pinned(chain, [other], (NAME,), NOW) is Certificate.UNPINNED


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_the_record_of_an_authority_vouches_for_its_chain(selector: int, matching: int) -> None:
    (record,) = usable([_record(2, selector, matching, MIDDLE)])
    assert pinned(GOOD, [record], ("x.example", NAME), NOW) is Certificate.PINNED
    assert pinned(GOOD, [record], ("x.example",), NOW) is Certificate.WRONG_NAME
    assert pinned(OLD, [record], (NAME,), NOW) is Certificate.EXPIRED
    # Alone, the end leads to an authority only where the whole of it stands in the record.
    is_whole = (selector, matching) == (0, 0)
    alone = Certificate.PINNED if is_whole else Certificate.UNPINNED
    assert pinned(GOOD[:1], [record], (NAME,), NOW) is alone


def test_a_whole_authority_in_the_record_need_not_be_in_the_chain() -> None:
    whole = Tlsa(2, 0, 0, TOP)
    assert pinned(GOOD, [whole], (NAME,), NOW) is Certificate.PINNED
    assert pinned(GOOD, [Tlsa(2, 0, 1, sha256(TOP).digest())], (NAME,), NOW) is Certificate.UNPINNED


def test_an_authority_vouches_only_for_what_it_signed() -> None:
    other = trustme.CA()
    forged = [*_chain(trustme.CA().issue_cert(NAME)), *(read_chain([_der(other.cert_pem)]) or ())]
    record = _record(2, 1, 1, _der(other.cert_pem))
    assert pinned(forged, [record], (NAME,), NOW) is Certificate.UNTRUSTED


def test_an_end_is_no_authority() -> None:
    assert pinned(GOOD, [_record(2, 1, 1, LEAF)], (NAME,), NOW) is Certificate.UNPINNED


@pytest.mark.parametrize("records", [[0, 1], [1, 0]], ids=["fitting first", "fitting last"])
def test_one_record_that_fits_is_enough(records: Sequence[int]) -> None:
    both = [_record(3, 1, 1, LEAF), _record(3, 1, 1, MIDDLE)]
    assert pinned(GOOD, [both[n] for n in records], (NAME,), NOW) is Certificate.PINNED


def test_no_certificate_fits_no_record() -> None:
    assert read_chain([]) is None
    assert read_chain([b"nonsense"]) is None
    assert pinned(None, [_record(3, 1, 1, LEAF)], (NAME,), NOW) is Certificate.UNPINNED


def _of_version(certificate: bytes, version: int) -> bytes:
    """Return a certificate that says of itself to be of another version of X.509."""
    before = b"\xa0\x03\x02\x01"
    start, end = certificate.split(before, 1)
    return start + before + bytes([version]) + end[1:]


@pytest.mark.parametrize("version", [1, 3, 7, 255])
def test_a_certificate_of_a_version_that_nobody_knows_is_worth_nothing(version: int) -> None:
    odd = _of_version(LEAF, version)
    for encoded in ([odd], [LEAF, odd], [b""], [b"no certificate"]):
        assert read_chain(encoded) is None
    assert usable([Tlsa(2, 0, 0, odd), Tlsa(3, 0, 0, odd)]) == ()
    assert Judge.trusting([odd]) == Judge.trusting([])
