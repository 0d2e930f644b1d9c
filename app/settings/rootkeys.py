"""The root secret of an installation, and the keys that are derived from it, one for each purpose."""

from __future__ import annotations

import binascii
import os
import re
from base64 import b64decode, b64encode
from typing import Annotated

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import AfterValidator, SecretStr

from app.settings.forms import Group

MIN_SECRET_BYTES = 32
"""Bytes of a secret at least: as much as the keys that are derived from it have."""
_NEW_BYTES = 48
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){32,}")


def new_secret() -> str:
    """Return a new secret as `PILLARBOX_SECRETS__KEY` takes it."""
    return b64encode(os.urandom(_NEW_BYTES)).decode()


def _octets(text: str) -> bytes:
    """Return the bytes of a secret. Raises ValueError for what is neither base64 nor hexadecimal."""
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    return b64decode(text.replace("-", "+").replace("_", "/"), validate=True)


def _is_secret(value: SecretStr) -> SecretStr:
    try:
        size = len(_octets(value.get_secret_value()))
    except (binascii.Error, ValueError):
        size = 0
    if size < MIN_SECRET_BYTES:
        # Without the value: this sentence ends up in logs.
        raise ValueError(
            f"must be at least {MIN_SECRET_BYTES} random bytes in base64 or hexadecimal; "
            "`pillarbox secrets create` prints some"
        )
    return value


Secret = Annotated[SecretStr, AfterValidator(_is_secret)]


class SecretSettings(Group):
    """The secret that links in mails are made with and DKIM keys are encrypted with, the same for all processes
    ([keys.md](keys.md))."""

    key: Secret | None = None
    """At least 32 random bytes in base64 or hexadecimal; `pillarbox secrets create` prints some."""
    former_keys: tuple[Secret, ...] = ()
    """Secrets of before, as a JSON list: what was made with them stays valid, and nothing new is."""

    def derived(self, purpose: str, length: int = 32) -> tuple[bytes, ...]:
        """Return a key of `length` bytes for one purpose from each secret (HKDF, RFC 5869), the current one first.

        Empty where no secret is set. Keys of two purposes tell nothing of each other, nor of the secret.
        """
        secrets = (self.key, *self.former_keys) if self.key else ()
        return tuple(
            HKDF(SHA256(), length, salt=None, info=f"pillarbox {purpose}".encode()).derive(
                _octets(each.get_secret_value())
            )
            for each in secrets
        )
