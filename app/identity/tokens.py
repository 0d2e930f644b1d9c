"""Return paths: for each recipient of a message an address of its own, that tells what comes back to it is about.

Its local part is a token. Whoever has the secret reads from it which recipient of which message was meant, years
later and with no table of what was sent; nobody else can make one, or change one (VERP with a keyed code). It is
the same whenever it is made, so a receiver that greylists sees the same address at each retry.

    b  0123456789abcdefghjkmnpqrstvwxyz … 48 characters
    |  code (8 bytes), then sealed: stream and index (2), message (16), mark of the address (4)
    form

This is deterministic authenticated encryption as in SIV (Rogaway and Shrimpton, 2006): the code is a keyed hash of
what is sealed, and what is sealed is covered by a stream that a keyed hash makes of the code. So a token tells
others nothing: not how many got the mail, nor whether it was meant for many. The keyed hash is BLAKE2b (RFC 7693
§2.9), which takes a third of HMAC's time.

The project is not in it, since its name does not fit, but it is hashed with the rest: the domain that mail comes
back to tells whose it can be, and for any other project the token is worth nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from app.ids import MessageId, ProjectId
from app.mail.sameness import normal_form
from app.messages import Stream

PURPOSE = "return path"
"""What the keys are derived for."""
MOST_RECIPIENTS = 1 << 15
"""Recipients of one message that can have return paths of their own."""
_FORM = "b"
_CODE_BYTES, _MESSAGE_BYTES, _MARK_BYTES = 8, 16, 4
_SEALED_BYTES = 2 + _MESSAGE_BYTES + _MARK_BYTES
_SEALED_BITS = 8 * _SEALED_BYTES

# Crockford's: lower case, since some hosts make it so, and without i, l, o and u.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_SHIFTS = range(8 * (_CODE_BYTES + _SEALED_BYTES) - 10, -1, -10)
_TOKEN = re.compile(f"{_FORM}[{_ALPHABET}]{{{2 * len(_SHIFTS)}}}")
LONGEST_DOMAIN = 254 - len(_FORM) - 2 * len(_SHIFTS) - len("@")
"""Octets of a domain that a token can stand at: a path has 256 with its brackets (RFC 5321 §4.5.3.1.3)."""
_AS_DIGITS = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a token is about: the recipient at `index` of a message of a project and stream.

    `mark` is a keyed hash of its address, which `Tokens.is_marked` compares: the address itself does not fit.
    """

    project: ProjectId
    stream: Stream
    message: MessageId
    index: int
    mark: bytes


class _Key:
    """One key, as the three keyed hashes that are made with it; each is begun once and copied for each use."""

    def __init__(self, key: bytes) -> None:
        self._code = hashlib.blake2b(digest_size=_CODE_BYTES, key=key, person=b"code b")
        self._cover = hashlib.blake2b(digest_size=_SEALED_BYTES, key=key, person=b"cover b")
        self._mark = hashlib.blake2b(digest_size=_MARK_BYTES, key=key, person=b"mark b")

    def token(self, project: bytes, sealed: bytes) -> str:
        code = self.code(project, sealed)
        number = int.from_bytes(code + self.covered(code, sealed), "big")
        return _FORM + "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])

    def code(self, project: bytes, sealed: bytes) -> bytes:
        return _hashed(self._code, sealed + project)

    def covered(self, code: bytes, octets: bytes) -> bytes:
        """Cover what is sealed, or uncover it."""
        stream = _hashed(self._cover, code)
        both = int.from_bytes(stream, "big") ^ int.from_bytes(octets, "big")
        return both.to_bytes(_SEALED_BYTES, "big")

    def mark(self, address: str) -> bytes:
        return _hashed(self._mark, normal_form(address).encode())


def _hashed(begun: hashlib.blake2b, octets: bytes) -> bytes:
    copy = begun.copy()
    copy.update(octets)
    return copy.digest()


class Tokens:
    """Makes tokens with one key and reads those of former keys too. Without keys there are none."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Use keys of 16 to 64 bytes, the one to make tokens with first."""
        self._keys = tuple(map(_Key, keys))

    def __bool__(self) -> bool:
        """Tell whether tokens can be made."""
        return bool(self._keys)

    def make(
        self, project: ProjectId, stream: Stream, message: MessageId, addresses: Sequence[str]
    ) -> list[str]:
        """Return the token of each recipient of a message, always the same: 49 characters, the first a letter.

        There must be a key, and at most `MOST_RECIPIENTS`.
        """
        if len(addresses) > MOST_RECIPIENTS:
            raise ValueError(f"no token can tell of {len(addresses)} recipients")
        key, name, first = self._keys[0], project.encode(), _first_index(stream)
        unique = bytes.fromhex(message.removeprefix("msg_"))
        return [
            key.token(name, number.to_bytes(2, "big") + unique + key.mark(address))
            for number, address in enumerate(addresses, first)
        ]

    def read(self, local_part: str, projects: Iterable[ProjectId]) -> Origin | None:
        """Return what a token of one of these projects is about; None for whatever was not made here for them.

        Case does not matter. Codes are compared in constant time.
        """
        token = local_part.lower() if local_part.isascii() else ""
        if _TOKEN.fullmatch(token) is None:
            return None
        number = int(token[len(_FORM) :].translate(_AS_DIGITS), 32)
        code = (number >> _SEALED_BITS).to_bytes(_CODE_BYTES, "big")
        covered = (number & (1 << _SEALED_BITS) - 1).to_bytes(_SEALED_BYTES, "big")
        names = {project: project.encode() for project in projects}
        for key in self._keys:
            sealed = key.covered(code, covered)
            for project, name in names.items():
                if hmac.compare_digest(code, key.code(name, sealed)):
                    return _unpacked(project, sealed)
        return None

    def is_marked(self, origin: Origin, address: str) -> bool:
        """Tell whether what was read from a token is about this address, in whatever spelling.

        Once the message is gone, only what comes back names the address, and that may be anybody's words.
        """
        return any(hmac.compare_digest(origin.mark, key.mark(address)) for key in self._keys)


def _first_index(stream: Stream) -> int:
    """Return what stands for the first recipient of a message of this stream."""
    match stream:
        case Stream.TRANSACTIONAL:
            return 0
        case Stream.BULK:
            return MOST_RECIPIENTS
        case _:
            assert_never(stream)


def _unpacked(project: ProjectId, sealed: bytes) -> Origin:
    is_bulk, index = divmod(int.from_bytes(sealed[:2], "big"), MOST_RECIPIENTS)
    stream = Stream.BULK if is_bulk else Stream.TRANSACTIONAL
    message, mark = sealed[2 : 2 + _MESSAGE_BYTES], sealed[2 + _MESSAGE_BYTES :]
    return Origin(project, stream, MessageId(f"msg_{message.hex()}"), index, mark)
