"""Prospects: what a worker finds of the way that a mail would take. Asked for by names, as an inquiry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.events import TlsPolicy
from app.spool.codec import Codec

INQUIRY = "prospect"
"""The kind of the inquiry: its names are the domain in From, what the message demands of TLS, and the domains
of its recipients."""
LOOKING = 0.75
"""The part of the time that is waited which a worker looks; what it does not know by then is left out."""


class Obstacle(StrEnum):
    """Why no mail can be handed over for a domain."""

    UNKNOWN = "unknown"
    """The domain does not exist."""
    TAKES_NO_MAIL = "takes_no_mail"
    """It says that it takes none (null MX, RFC 7505)."""
    UNREACHABLE = "unreachable"
    """No host of it can be connected to."""
    DNS = "dns"
    """The DNS does not tell its hosts now."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """An obstacle, and what a try would say of it."""

    obstacle: Obstacle
    text: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """A host that takes mail for a domain, and the TLS policy for it. `barred` says why it would not be used."""

    name: str
    preference: int
    tls: TlsPolicy
    barred: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """The hosts of a domain in the order in which they would be tried, or why there are none."""

    domain: str
    exchanges: tuple[Exchange, ...] = ()
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """What stands where the DMARC record of a domain is, or that of the nearest one above it (not `is_own`)."""

    name: str
    values: tuple[str, ...]
    is_own: bool = True


@dataclass(frozen=True, slots=True)
class Prospect:
    """What was found in time: the ways of domains, and the DMARC record of the author's; None: not known."""

    ways: tuple[Way, ...] = ()
    dmarc: Published | None = None


PROSPECT = Codec(Prospect)
