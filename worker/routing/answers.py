"""What the DNS says about a name: one of four, and never an exception.

`is_secure` tells that a resolver which the settings trust has validated the whole answer, aliases and
denials too (DNSSEC, RFC 4035 §3.2.3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Found(Generic[R]):
    """Records of the type that was asked for, and for how many seconds they are true.

    `owner` is the name at the end of the chain of aliases, in lower case without the final dot.
    """

    records: tuple[R, ...]
    ttl: float
    is_secure: bool = False
    owner: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class NoData:
    """The name exists, and has no record of this type (RFC 2308 §2.2)."""

    ttl: float
    is_secure: bool = False


@dataclass(frozen=True, slots=True)
class NoSuchName:
    """The name does not exist, and no name below it (RFC 8020)."""

    ttl: float
    is_secure: bool = False


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


@dataclass(frozen=True, slots=True)
class Tlsa:
    """A TLSA record as it stands in the DNS (RFC 6698 §2.1): any numbers, and any data."""

    usage: int
    selector: int
    matching: int
    data: bytes
