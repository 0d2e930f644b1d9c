"""The vault: secrets that Redis keeps, encrypted, each bound to the place that it belongs to.

AES-256-GCM under keys that are derived from the secret of the installation, which Redis never sees: whoever has a
copy of Redis has no key. What is sealed opens at its own place alone, so that nothing can be moved to another
project, domain or selector; and it names the key that sealed it, so that a new secret can take over from a former
one.

sealed: version (1 byte), name of the key (4), nonce (12), ciphertext and tag.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import VaultClosed

PURPOSE = "vault"
"""What the keys are derived for."""
_VERSION = b"\x01"
_NAME_BYTES, _NONCE_BYTES = 4, 12
_HEAD_BYTES = len(_VERSION) + _NAME_BYTES


@dataclass(frozen=True, slots=True)
class _Key:
    """A key and its name: by a digest, which tells nothing of it."""

    cipher: AESGCM = field(repr=False)
    name: bytes

    @classmethod
    def of(cls, octets: bytes) -> _Key:
        return cls(AESGCM(octets), hashlib.sha256(b"name of " + octets).digest()[:_NAME_BYTES])


class Vault:
    """Seals with one key, and opens with former ones too. Shows neither keys nor secrets when it is printed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Use keys of 32 bytes, the one to seal with first. With none the vault stays closed."""
        self._keys = tuple(map(_Key.of, keys))

    def seal(self, secret: bytes, place: Sequence[str]) -> bytes:
        """Return the secret as only `place` can open it. Raises VaultClosed without a key.

        Nonces are random: 2^32 seals by one key are safe (NIST SP 800-38D §8.3), and a new secret begins anew.
        """
        key, nonce = self._newest(), os.urandom(_NONCE_BYTES)
        head = _VERSION + key.name
        return head + nonce + key.cipher.encrypt(nonce, secret, _bound(head, place))

    def open(self, sealed: bytes, place: Sequence[str]) -> bytes:
        """Return the secret that was sealed for `place`.

        Raises VaultClosed for what no key of ours has sealed, and for what was changed or moved.
        """
        self._newest()
        head, rest = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        nonce, ciphertext = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        for key in self._keys:
            if head == _VERSION + key.name:
                try:
                    return key.cipher.decrypt(nonce, ciphertext, _bound(head, place))
                except (InvalidTag, ValueError):
                    continue
        raise VaultClosed(
            "what is encrypted in Redis cannot be opened with PILLARBOX_SECRETS__KEY: set the secret that it was "
            "encrypted with, or name that one in PILLARBOX_SECRETS__FORMER_KEYS"
        )

    def is_current(self, sealed: bytes) -> bool:
        """Tell whether the newest key has sealed this. Raises VaultClosed without a key."""
        return sealed.startswith(_VERSION + self._newest().name)

    def _newest(self) -> _Key:
        if not self._keys:
            raise VaultClosed(
                "keys cannot be kept without a secret to encrypt them: set PILLARBOX_SECRETS__KEY in all "
                "processes (`pillarbox secrets create` prints one)"
            )
        return self._keys[0]


def _bound(head: bytes, place: Sequence[str]) -> bytes:
    """Return what the ciphertext is bound to; lengths in front, so that no two places are written alike."""
    parts = [part.encode() for part in place]
    return head + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
