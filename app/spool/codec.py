"""Domain values as bytes and back: msgpack, fast and with types, for what Redis keeps.

A stored value carries the version of its form in front, so that a rolling upgrade can read both: a program
leaves alone what it would understand wrongly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from app.events import AttemptRecord, EventRecord
from app.identity.domain import Domain
from app.identity.events import DomainEvent, Fact
from app.messages import Message, Receipt, RecipientState, Suppression

T = TypeVar("T")

_FIRST = b"\x01"
_OWN_COPIES = b"\x02"
"""Messages whose recipients have bytes of their own: programs that know of one copy only find none."""
_SHARED_PARTS = b"\x03"
"""Messages with parts that are kept apart: programs that do not know of them would send their names."""
_ABOUT_DOMAINS = b"\x04"
"""Events about domains, in lanes where events about recipients wait too."""
_READABLE = (_FIRST, _OWN_COPIES, _SHARED_PARTS, _ABOUT_DOMAINS)


class Unreadable(ValueError):
    """What is stored is of a later version, or damaged; it stays, for a program that can read it."""


class Codec(Generic[T]):
    """Encodes and decodes values of one type."""

    def __init__(self, form: type[T], version: Callable[[T], bytes] = lambda _: _FIRST) -> None:
        """Prepare for values of `form`, a dataclass; `version` says what must know how to read a value."""
        self._version = version
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(form)

    def encode(self, value: T) -> bytes:
        """Return the stored form of `value`."""
        return self._version(value) + self._encoder.encode(value)

    def decode(self, stored: bytes) -> T:
        """Return the value. Raises Unreadable for a form that this program does not know."""
        if not stored.startswith(_READABLE):
            raise Unreadable(
                f"stored form {stored[:1]!r} is newer than this program; upgrade it first"
            )
        try:
            return self._decoder.decode(memoryview(stored)[1:])
        except msgspec.MsgspecError as error:
            raise Unreadable(f"a stored form cannot be read: {error}") from error


MESSAGE = Codec(Message, lambda message: _OWN_COPIES if message.is_merged else _FIRST)
SHARING_MESSAGE = Codec(Message, lambda _: _SHARED_PARTS)
STATE = Codec(RecipientState)
EVENT = Codec(EventRecord)
ATTEMPT = Codec(AttemptRecord)
RECEIPT = Codec(Receipt)
SUPPRESSION = Codec(Suppression)
DOMAIN = Codec(Domain)
_DOMAIN_EVENT = Codec(DomainEvent, lambda _: _ABOUT_DOMAINS)


def encode_fact(fact: Fact) -> bytes:
    """Return the stored form of what an endpoint is told."""
    return _DOMAIN_EVENT.encode(fact) if isinstance(fact, DomainEvent) else EVENT.encode(fact)


def decode_fact(stored: bytes) -> Fact:
    """Return what an endpoint is told. Raises Unreadable."""
    is_about_domain = stored.startswith(_ABOUT_DOMAINS)
    return _DOMAIN_EVENT.decode(stored) if is_about_domain else EVENT.decode(stored)
