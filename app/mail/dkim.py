"""DKIM signatures (RFC 6376, RFC 8301, RFC 8463): the last thing that touches the bytes of a mail.

`accept` signs each composed mail with all keys of the From domain, which `app.projects.keyring` has
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
# Named once more than they occur: a second one breaks the signature (RFC 6376 §8.15).
_OVERSIGNED = ("From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To")
_SIGNED = (
    "Sender",
    "MIME-Version",
    "Content-Type",
    "In-Reply-To",
    "References",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Help",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Auto-Submitted",
    "TLS-Required",
    "Feedback-ID",
    "CFBL-Address",
    "CFBL-Feedback-ID",
)
_WANTED = tuple(
    (name, name.lower().encode("ascii"), name in _OVERSIGNED) for name in (*_OVERSIGNED, *_SIGNED)
)
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


def load_key(pem: bytes, domain: str, selector: str) -> SigningKey:
    """Load an unencrypted PEM private key; takes tens of milliseconds, so keep what it returns.

    Raises DkimKeyError. `domain` is in A-labels.
    """
    domain, selector = domain.lower(), selector.lower()
    if _DOMAIN.fullmatch(domain) is None or _SELECTOR.fullmatch(selector) is None:
        raise DkimKeyError(
            f"{selector!a} at {domain!a} is no place for a DKIM record: use host name labels."
        )
    try:
        secret = load_pem_private_key(pem, password=None)
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
    head, _, body = message.partition(b"\r\n\r\n")
    names, lines = _choose_fields(_relax_head(head))
    tags = (
        f" t={int(signed_at.timestamp())}; bh={_base64(_body_hash(body))};\r\n"
        f" h={_fold_names(names)};\r\n b="
    )
    return b"".join([*[_signature_field(key, tags, lines) for key in keys], message])


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


def _relax_head(head: bytes) -> dict[bytes, list[bytes]]:
    """Return the fields in relaxed form (RFC 6376 §3.4.2) by lower-case name, top to bottom."""
    fields: dict[bytes, list[bytes]] = {}
    unfolded = head.replace(b"\t", b" ").replace(b"\r\n ", b" ")
    for line in _RUNS.sub(b" ", unfolded).split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.strip(b" ").lower()
        fields.setdefault(name, []).append(b"%b:%b\r\n" % (name, value.strip(b" ")))
    return fields


def _choose_fields(fields: dict[bytes, list[bytes]]) -> tuple[list[str], bytes]:
    """Return the names for h= and their lines; of equal names the last first (RFC 6376 §5.4.2)."""
    names: list[str] = []
    lines: list[bytes] = []
    for name, lower, is_oversigned in _WANTED:
        found = fields.get(lower, [])
        names += [name] * (len(found) + is_oversigned)
        lines += reversed(found)
    return names, b"".join(lines)


def _body_hash(body: bytes) -> bytes:
    """Return the hash of the relaxed form of a body (RFC 6376 §3.4.4); an empty one stays empty.

    Piece by piece, so that a thread with a large body lets others run in between.
    """
    digest, line_ends, is_empty = sha256(), 0, True
    for piece in _pieces(body):
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
    lines = lines.replace(b"\t", b" ")
    if b"  " in lines:
        lines = _RUNS.sub(b" ", lines)
    if not lines.endswith(b"\r\n"):
        lines += b"\r\n"
    return lines.replace(b" \r\n", b"\r\n")


def _pieces(body: bytes) -> Iterator[bytes]:
    """Cut behind line ends only."""
    start = 0
    while start < len(body):
        end = body.find(b"\r\n", start + _PIECE_BYTES)
        end = len(body) if end < 0 else end + len(b"\r\n")
        yield body[start:end]
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
