"""What the DNS says about a name: one of four, and never an exception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Found(Generic[R]):
    """Records of the type that was asked for, and for how many seconds they are true."""

    records: tuple[R, ...]
    ttl: float


@dataclass(frozen=True, slots=True)
class NoData:
    """The name exists, and has no record of this type (RFC 2308 §2.2)."""

    ttl: float


@dataclass(frozen=True, slots=True)
class NoSuchName:
    """The name does not exist, and no name below it (RFC 8020)."""

    ttl: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The DNS does not know now; asking later may help."""

    reason: str


Answer = Found[R] | NoData | NoSuchName | Failed


@dataclass(frozen=True, slots=True)
class Exchanger:
    """An MX record; `name` is in lower case without the final dot, and empty for the null MX (RFC 7505)."""

    preference: int
    name: str
