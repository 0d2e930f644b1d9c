"""What keys are made of: a new generation for a domain, or one that its owner brings along.

Making a key takes 50 to 500 ms and checking one 40; run it beside the event loop.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from app.errors import FieldError, InvalidRequest
from app.identity.keys.dkimkeys import DomainKey
from app.mail.dkim import (
    NEW_RSA_BITS,
    Algorithm,
    DkimKeyError,
    SigningKey,
    generate_pem,
    load_key,
    public_record,
)

_ENDINGS = {Algorithm.RSA: "rsa", Algorithm.ED25519: "ed"}
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
_CHANCE = 6


@dataclass(frozen=True, slots=True)
class Made:
    """A key with its secret, an unencrypted PEM: on its way into the vault, and shown by nothing."""

    key: DomainKey
    pem: bytes = field(repr=False)


def made_generation(domain: str, now: datetime) -> tuple[Made, ...]:
    """Return a new key for each algorithm, at selectors with the same beginning.

    Two projects may prove the same domain, so chance keeps their selectors apart; the month is for people.
    """
    chance = "".join(secrets.choice(_LETTERS) for _ in range(_CHANCE))
    stem = f"pb{now:%y%m}-{chance}"
    return tuple(
        _made(domain, f"{stem}-{ending}", algorithm, now) for algorithm, ending in _ENDINGS.items()
    )


def imported(pem: bytes, domain: str, selector: str, now: datetime) -> Made:
    """Return a key that its owner brings. Raises InvalidRequest for what cannot sign, with the remedy."""
    if b"ENCRYPTED" in pem:
        raise _refused("the key is encrypted: send what `openssl pkey -in key.pem` prints")
    try:
        loaded = load_key(pem, domain, selector)
    except DkimKeyError as error:
        raise _refused(error.reason) from None
    if isinstance(loaded.secret, RSAPrivateKey) and loaded.secret.key_size < NEW_RSA_BITS:
        raise _refused(
            f"the RSA key has {loaded.secret.key_size} bits, and {NEW_RSA_BITS} are wanted (RFC 8301 §3.2): "
            "rotate, and new keys are made for you"
        )
    return Made(_described(loaded, now, is_imported=True), pem)


def _made(domain: str, selector: str, algorithm: Algorithm, now: datetime) -> Made:
    pem = generate_pem(algorithm)
    loaded = load_key(pem, domain, selector, is_known=True)
    return Made(_described(loaded, now, is_imported=False), pem)


def _described(key: SigningKey, now: datetime, *, is_imported: bool) -> DomainKey:
    return DomainKey(
        selector=key.selector,
        algorithm=key.algorithm,
        record=public_record(key),
        created_at=now,
        is_imported=is_imported,
    )


def _refused(sentence: str) -> InvalidRequest:
    return InvalidRequest((FieldError("/private_key", "invalid_key", sentence),))
