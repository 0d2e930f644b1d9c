"""DKIM signatures (RFC 6376, RFC 8301, RFC 8463): the last thing that touches the bytes of a mail.

`accept` signs each composed mail with all keys of the From domain, which `app.identity.keys.keyring` has
loaded, and stores the result. The mail is canonical already (CRLF, no stray CR or LF), so that
canonicalisation is a few passes of C code over it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import assert_never

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from app.mail.refusal import Refusal

MIN_RSA_BITS = 1024
"""Shorter keys are ignored by verifiers (RFC 8301 §3.2)."""
MAX_RSA_BITS = 4096
"""Verifiers need not know longer keys (RFC 8301 §3.2)."""
NEW_RSA_BITS = 2048
"""Bits of a new key: the longest whose record fits everywhere, and what RFC 8301 §3.2 asks for."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# Named once more than they occur, so that none can be added without breaking the signature (RFC 6376 §8.15).
_CORE = (
    *("From", "To", "Cc", "Subject", "Date", "Reply-To", "Message-ID"),
    *("MIME-Version", "Content-Type"),
)
# Likewise where they occur, and not named where they do not: lists and gateways that pass a mail on add
# their own, and a mail that is none of a list's stays valid behind them (RFC 6376 §B.2.3).
_WHERE_PRESENT = (
    *("Content-Transfer-Encoding", "Sender", "In-Reply-To", "References"),
    *("List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Help", "List-Subscribe"),
    *("List-Post", "List-Owner", "List-Archive", "Auto-Submitted", "TLS-Required"),
    *("Feedback-ID", "CFBL-Address", "CFBL-Feedback-ID"),
)
# As often as they occur: whoever sends a mail again adds his own on top (RFC 5322 §3.6.6).
_REPEATED = (
    *("Resent-Date", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Message-ID"),
)
_NAMES = {name.lower().encode("ascii"): name for name in (*_CORE, *_WHERE_PRESENT, *_REPEATED)}
_KINDS_OF_HEADER = 256
_MAX_LINE = 72
_PIECE_BYTES = 128 * 1024
_RUNS = re.compile(rb"  +")


class DkimKeyError(Refusal):
    """A key cannot be used to sign; `reason` says why and what to do instead."""


class Algorithm(StrEnum):
    """How a signature is made: the values of the a= tag."""

    RSA = "rsa-sha256"
    """Every verifier knows it (RFC 6376 §3.3)."""
    ED25519 = "ed25519-sha256"
    """Short keys and signatures; used beside RSA, since not every verifier knows it (RFC 8463)."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A loaded private key; its public half stands at `selector`._domainkey.`domain`."""

    domain: str
    selector: str
    algorithm: Algorithm
    secret: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)


def load_key(pem: bytes, domain: str, selector: str, *, is_known: bool = False) -> SigningKey:
    """Load an unencrypted PEM private key; takes tens of milliseconds, so keep what it returns.

    The numbers of an RSA key are checked in that time, in which no other thread runs either. `is_known` leaves
    that out for a key that was made or checked here, and cannot have been changed since. Raises DkimKeyError.
    `domain` is in A-labels.
    """
    domain, selector = domain.lower(), selector.lower()
    if _DOMAIN.fullmatch(domain) is None or _SELECTOR.fullmatch(selector) is None:
        raise DkimKeyError(
            f"{selector!a} at {domain!a} is no place for a DKIM record: use host name labels."
        )
    try:
        secret = load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=is_known)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise DkimKeyError(
            "The key cannot be read: store an unencrypted private key in PEM form."
        ) from error
    match secret:
        case Ed25519PrivateKey():
            return SigningKey(domain, selector, Algorithm.ED25519, secret)
        case RSAPrivateKey():
            _check_size(secret)
            return SigningKey(domain, selector, Algorithm.RSA, secret)
        case _:
            raise DkimKeyError("The key is of a kind that DKIM does not know: use RSA or Ed25519.")


def generate_pem(algorithm: Algorithm) -> bytes:
    """Make a new private key for `load_key`.

    The only randomness in this package: it stands beside what reads and publishes the key, and
    nothing that composes or signs calls it.
    """
    match algorithm:
        case Algorithm.RSA:
            secret: RSAPrivateKey | Ed25519PrivateKey = generate_private_key(65537, NEW_RSA_BITS)
        case Algorithm.ED25519:
            secret = Ed25519PrivateKey.generate()
        case _:
            assert_never(algorithm)
    return secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_record(key: SigningKey) -> str:
    """Return the TXT value to publish (RFC 6376 §3.6.1, RFC 8463 §4)."""
    match key.secret:
        case Ed25519PrivateKey() as secret:
            octets = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            return f"v=DKIM1; k=ed25519; p={_base64(octets)}"
        case RSAPrivateKey() as secret:
            octets = secret.public_key().public_bytes(
                Encoding.DER, PublicFormat.SubjectPublicKeyInfo
            )
            return f"v=DKIM1; k=rsa; p={_base64(octets)}"
        case _:
            assert_never(key.secret)


def sign(message: bytes, keys: Sequence[SigningKey], signed_at: datetime) -> bytes:
    """Return `message`, whose lines end with CRLF, with a DKIM-Signature field per key in front.

    Relaxed/relaxed, without l= (RFC 6376 §8.2); header and body are hashed once for all keys.
    """
    end = message.find(b"\r\n\r\n")
    end = len(message) if end < 0 else end
    fields = _relax_head(message[:end])
    plan = _plan(tuple([name for name, _ in fields]))
    lines = b"".join([fields[index][1] for index in plan.order])
    body_hash = _base64(_body_hash(message, end + len(b"\r\n\r\n")))
    tags = f" t={int(signed_at.timestamp())}; bh={body_hash};\r\n{plan.names} b="
    return b"".join([*[_signature_field(key, tags, lines) for key in _in_order(keys)], message])


def _in_order(keys: Sequence[SigningKey]) -> list[SigningKey]:
    """Put RSA on top, for verifiers that stop at the first signature or at one that they do not know."""
    return sorted(keys, key=lambda key: key.algorithm is not Algorithm.RSA)


def _signature_field(key: SigningKey, tags: str, lines: bytes) -> bytes:
    place = f"v=1; a={key.algorithm}; c=relaxed/relaxed;\r\n d={key.domain}; s={key.selector};\r\n"
    unsigned = f"{place}{tags}"
    canonical = f"dkim-signature:{unsigned}".replace("\r\n", "").encode("ascii")
    signature = _base64(_sign_octets(key, lines + canonical))
    pieces = [signature[start : start + _MAX_LINE] for start in range(0, len(signature), _MAX_LINE)]
    folded = "\r\n ".join(pieces)
    return f"DKIM-Signature: {unsigned}{folded}\r\n".encode("ascii")


def _sign_octets(key: SigningKey, octets: bytes) -> bytes:
    match key.secret:
        case Ed25519PrivateKey() as secret:
            # RFC 8463 §3: the hash is what is signed.
            return secret.sign(sha256(octets).digest())
        case RSAPrivateKey() as secret:
            return secret.sign(octets, PKCS1v15(), SHA256())
        case _:
            assert_never(key.secret)


def _relax_head(head: bytes) -> list[tuple[bytes, bytes]]:
    """Return the fields to be signed in relaxed form (RFC 6376 §3.4.2), each with its lower-case name."""
    unfolded = head.replace(b"\t", b" ").replace(b"\r\n ", b" ")
    fields = []
    for line in _RUNS.sub(b" ", unfolded).split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.strip(b" ").lower()
        if name in _NAMES:
            fields.append((name, b"%b:%b\r\n" % (name, value.strip(b" "))))
    return fields


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is signed of a header: the tag h=, folded, and the indices of the fields in its order."""

    names: str
    order: tuple[int, ...]


@lru_cache(maxsize=_KINDS_OF_HEADER)
def _plan(found: tuple[bytes, ...]) -> _Plan:
    """Return the plan for a header whose fields have these names, of which a project has a handful.

    Of equal names the last comes first (RFC 6376 §5.4.2).
    """
    names: list[str] = []
    order: list[int] = []
    for lower, name in _NAMES.items():
        places = [index for index, each in enumerate(found) if each == lower]
        is_oversigned = name in _CORE or (bool(places) and name in _WHERE_PRESENT)
        names += [name] * (len(places) + is_oversigned)
        order += reversed(places)
    return _Plan(f" h={_fold_names(names)};\r\n", tuple(order))


def _body_hash(message: bytes, start: int) -> bytes:
    """Return the hash of the relaxed form of the body at `start` (RFC 6376 §3.4.4); an empty one stays empty.

    Piece by piece, so that a thread with a large body lets others run in between.
    """
    digest, line_ends, is_empty = sha256(), 0, True
    for piece in _pieces(message, start):
        lines = _relax_lines(piece)
        text = lines.rstrip(b"\r\n")
        if text:
            # Those before it, whose number is only now known to matter.
            digest.update(b"\r\n" * line_ends)
            digest.update(text)
            line_ends, is_empty = 0, False
        line_ends += (len(lines) - len(text)) // 2
    digest.update(b"" if is_empty else b"\r\n")
    return digest.digest()


def _relax_lines(lines: bytes) -> bytes:
    """Look before changing anything: most bodies are relaxed, and `rfind` is twice as fast as `in`."""
    if not lines.endswith(b"\r\n"):
        lines += b"\r\n"
    lines = lines.replace(b"\t", b" ")
    if b" " not in lines:
        return lines
    if lines.rfind(b"  ") >= 0:
        lines = _RUNS.sub(b" ", lines)
    return lines.replace(b" \r\n", b"\r\n") if lines.rfind(b" \r\n") >= 0 else lines


def _pieces(message: bytes, start: int) -> Iterator[bytes]:
    """Cut what comes from `start` on, behind line ends only."""
    while start < len(message):
        end = message.find(b"\r\n", start + _PIECE_BYTES)
        end = len(message) if end < 0 else end + len(b"\r\n")
        yield message[start:end]
        start = end


def _fold_names(names: Sequence[str]) -> str:
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) > _MAX_LINE - len(" h=:"):
            lines.append("")
        lines[-1] += f"{name}:"
    return "\r\n ".join(lines)[:-1]


def _check_size(secret: RSAPrivateKey) -> None:
    if not MIN_RSA_BITS <= secret.key_size <= MAX_RSA_BITS:
        raise DkimKeyError(
            f"The RSA key has {secret.key_size} bits, "
            f"and verifiers take {MIN_RSA_BITS} to {MAX_RSA_BITS}: use {NEW_RSA_BITS}."
        )


def _base64(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")
