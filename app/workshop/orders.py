"""Orders: what passes between the API process and a child, and the refusal when a piece cannot be made.

On the pipe each is msgpack behind its length in four bytes, so that a child can send us nothing but values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import msgspec

from app.mail.refusal import Refusal

LENGTH_BYTES = 4
_MOST_BYTES = 64 * 1024 * 1024

T = TypeVar("T")


class Craft(StrEnum):
    """What can be made of a text."""

    MJML = "mjml"
    """HTML from MJML."""
    STYLES = "styles"
    """HTML whose style sheets are written into `style` attributes."""
    PLAINTEXT = "plaintext"
    """Text from HTML."""


class Trouble(StrEnum):
    """Why a piece could not be made."""

    TOO_LARGE = "too_large"
    """The text is longer than `workshop.max_input_bytes`, or what is made of it than four times that."""
    TOO_DEEP = "too_deep"
    """Elements are nested deeper than `workshop.max_depth`."""
    INVALID = "invalid"
    """The text has an error, which the reason names."""
    TOO_SLOW = "too_slow"
    """It took longer than `workshop.timeout`."""
    FAILED = "failed"
    """The child ended over it: too little memory, or a fault of a library."""


@dataclass(frozen=True, slots=True)
class Order:
    """One text and what to make of it: in `cpu_s` seconds of processor time, and no longer than `most_bytes`."""

    craft: Craft
    text: str
    cpu_s: int
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Piece:
    """What was made. Each warning is a sentence about something that was left out."""

    text: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a child says: a piece, or the reason why there is none."""

    piece: Piece | None = None
    trouble: Trouble = Trouble.INVALID
    reason: str = ""


class WorkshopRefusal(Refusal):
    """Nothing could be made of the text; `reason` says why and what to do, `trouble` of which kind it is."""

    def __init__(self, trouble: Trouble, reason: str) -> None:
        """Keep both."""
        super().__init__(reason)
        self.trouble = trouble


class BrokenPipe(ValueError):
    """What came over the pipe is no order and no answer."""


def framed(value: Order | Answer) -> bytes:
    """Return what goes over the pipe."""
    body = msgspec.msgpack.encode(value)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def length_of(head: bytes) -> int:
    """Return how many bytes follow the first four. Raises BrokenPipe for more than there can be."""
    length = int.from_bytes(head, "big")
    if length > _MOST_BYTES:
        raise BrokenPipe(f"{length} bytes are announced")
    return length


def unframed(body: bytes, form: type[T]) -> T:
    """Return the value. Raises BrokenPipe."""
    try:
        return msgspec.msgpack.decode(body, type=form)
    except msgspec.MsgspecError as error:
        raise BrokenPipe(str(error)) from error
