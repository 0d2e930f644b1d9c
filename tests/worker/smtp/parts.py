"""What the tests of this folder share: settings, guards, and one call that carries a mail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from app.settings.delivering import DeliverySettings, SmtpTimeouts
from tests.fakes.smtp import SmtpServer
from worker.outcomes.outcome import Outcome
from worker.routing.hosts import Host
from worker.sites.profiles import Sites
from worker.sites.sources import Source
from worker.smtp.attempt import Attempted, Carrier
from worker.smtp.envelope import Envelope
from worker.smtp.pool import Pool
from worker.smtp.tls import Tls
from worker.smtp.transaction import Guard

MESSAGE = b"Subject: hello\r\nFrom: <a@example.org>\r\n\r\nOne line.\r\n"
SOON = timedelta(seconds=0.15)
"""A time limit for steps that a test lets run out."""
PLENTY = timedelta(seconds=20)


@dataclass
class Counting:
    """A guard that stands for `times` questions, then no more."""

    times: int = 10**9
    asked: int = field(default=0)

    def stands(self) -> bool:
        self.asked += 1
        return self.asked <= self.times

    async def may_end(self, _addresses: Sequence[str], /) -> bool:
        return self.stands()


def timeouts(**changed: timedelta) -> SmtpTimeouts:
    """Return limits that no healthy step meets, save those that are changed."""
    limits = dict.fromkeys(SmtpTimeouts.model_fields, PLENTY)
    return SmtpTimeouts(**(limits | {"quit": timedelta(seconds=1)} | changed))


def settings(**limits: timedelta) -> DeliverySettings:
    """Return delivery settings with these time limits."""
    return DeliverySettings(ehlo_name="client.example.org", timeouts=timeouts(**limits))


def envelope(
    *recipients: str, message: bytes = MESSAGE, mail_from: str = "sender@example.org"
) -> Envelope:
    """Return an envelope, for one recipient if none is named."""
    return Envelope(mail_from, recipients or ("user@example.net",), message)


def host(server: SmtpServer, name: str = "mx.example.net") -> Host:
    """Return the way to a server."""
    return Host(name, server.host, 10, server.port)


@dataclass
class Client:
    """A carrier with its pool, for tests that carry several mails."""

    pool: Pool
    carrier: Carrier

    async def carry(
        self,
        servers: SmtpServer | Sequence[SmtpServer],
        mail: Envelope | None = None,
        guard: Guard | None = None,
        source: Source | None = None,
    ) -> Attempted:
        """Carry a mail to the first of the servers that takes it."""
        several = [servers] if isinstance(servers, SmtpServer) else servers
        hosts = [host(server) for server in several]
        return await self.carrier.carry(hosts, mail or envelope(), guard or Counting(), source)

    async def outcome(
        self, servers: SmtpServer | Sequence[SmtpServer], mail: Envelope | None = None
    ) -> Outcome:
        """Carry a mail to one recipient, and return what became of it."""
        (outcome,) = (await self.carry(servers, mail)).outcomes
        return outcome


@asynccontextmanager
async def client(
    chosen: DeliverySettings | None = None, tls: Tls | None = None
) -> AsyncIterator[Client]:
    """Open a pool and a carrier over it; `tls` tells whom to trust."""
    chosen = chosen or settings()
    async with Pool(chosen, Sites(chosen), tls) as pool:
        yield Client(pool, Carrier(pool, chosen))


def texts(attempted: Attempted, direction: str) -> list[str]:
    """Return the lines of the dialogue that went one way."""
    return [line.text for line in attempted.dialogue if line.direction == direction]
