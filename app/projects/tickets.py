"""Tickets: who may leave which list, sealed into the part of a URL that only its recipient has.

A ticket holds all that is needed to honour it, so that it works when its message is long gone, and nothing is
kept for mails that nobody answers. It is encrypted: a URL ends up in histories, proxies and screenshots, and there
it tells neither an address nor whose mail it was. Nobody can make one without the secret, or change one.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from app.ids import MessageId, ProjectId
from app.messages import Stream

_VERSION = b"\x01"
_STREAMS = (Stream.TRANSACTIONAL, Stream.BULK)
_INDEX_BYTES = 3
_FIXED = 1 + 16 + _INDEX_BYTES
_MOST_CHARACTERS = 1_000
KEY_BYTES = 64
"""Bytes of a key: two of AES-256 (RFC 5297 §2.1)."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Lets the recipient at `index` of a message leave the list of its stream.

    `address` is in normal form (`app.mail.sameness`); `sender` is the domain of From, to be shown to people.
    """

    project: ProjectId
    stream: Stream
    message: MessageId
    index: int
    sender: str
    address: str


class Tickets:
    """Seals tickets with one key and reads those of former keys too. Without keys there are none."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Use keys of `KEY_BYTES`, the one to seal with first."""
        self._ciphers = tuple(map(AESSIV, keys))

    def seal(self, ticket: Ticket) -> str:
        """Return the ticket as characters that a URL may hold, always the same. There must be a key.

        Deterministic authenticated encryption (RFC 5297) needs no nonce, which leaves the URL short.
        """
        sealed = self._ciphers[0].encrypt(_packed(ticket), [_VERSION])
        return urlsafe_b64encode(_VERSION + sealed).rstrip(b"=").decode()

    def read(self, token: str) -> Ticket | None:
        """Return what was sealed, None for whatever was not sealed here. Tags are compared in constant time."""
        octets = _octets(token)
        if not octets.startswith(_VERSION):
            return None
        for cipher in self._ciphers:
            try:
                return _unpacked(cipher.decrypt(octets[len(_VERSION) :], [_VERSION]))
            except (InvalidTag, ValueError):
                continue
        return None


def _octets(token: str) -> bytes:
    """Return the bytes of a token; none where they have another, canonical spelling or are no base64."""
    if len(token) > _MOST_CHARACTERS:
        return b""
    try:
        octets = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        return b""
    return octets if urlsafe_b64encode(octets).rstrip(b"=") == token.encode() else b""


def _packed(ticket: Ticket) -> bytes:
    head = bytes((_STREAMS.index(ticket.stream),)) + bytes.fromhex(
        ticket.message.removeprefix("msg_")
    )
    # None of the texts can hold a NUL.
    texts = "\0".join((ticket.project, ticket.sender, ticket.address)).encode()
    return head + ticket.index.to_bytes(_INDEX_BYTES, "big") + texts


def _unpacked(octets: bytes) -> Ticket:
    project, sender, address = octets[_FIXED:].decode().split("\0")
    return Ticket(
        project=ProjectId(project),
        stream=_STREAMS[octets[0]],
        message=MessageId(f"msg_{octets[1:17].hex()}"),
        index=int.from_bytes(octets[17:_FIXED], "big"),
        sender=sender,
        address=address,
    )
