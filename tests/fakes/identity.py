"""Domains of tests: keys without secrets, and the records that prove them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from app.identity.domain import Domain
from app.identity.domains import Domains
from app.identity.records import PublicKey
from app.identity.senders import Senders
from app.ids import ProjectId
from app.settings import Settings
from app.settings.domains import DomainSettings
from app.spool.client import Redis
from app.spool.scripts import Scripts

RSA = "v=DKIM1; k=rsa; p=" + "MIIBIjANBgkq" * 30
ED25519 = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


class PlainKeys:
    """Keys by name alone: two for each domain, whose selectors begin with the project's name."""

    def __init__(self) -> None:
        self.known: set[tuple[ProjectId, str]] = set()
        self.confirmed: set[str] = set()

    async def prepare(self, project: ProjectId, domain: str) -> None:
        """Make a pair."""
        self.known.add((project, domain))

    async def listed(self, project: ProjectId, domain: str) -> tuple[PublicKey, ...]:
        """Return the pair."""
        if (project, domain) not in self.known:
            return ()
        return PublicKey(f"{project}-r", RSA), PublicKey(f"{project}-e", ED25519)

    async def confirm(self, _project: ProjectId, _domain: str, selectors: Collection[str]) -> None:
        """Note the selectors."""
        self.confirmed |= set(selectors)

    async def forget(self, project: ProjectId, domain: str) -> None:
        """Destroy the pair."""
        self.known.discard((project, domain))


def domains_of(redis: Redis, settings: Settings, keys: PlainKeys | None = None) -> Domains:
    """Return the domains that Redis keeps, with keys of the test."""
    scripts = Scripts.of(redis.keys, settings)
    return Domains(redis, scripts, settings.domains, keys or PlainKeys())


def free_senders(redis: Redis, settings: Settings) -> Senders:
    """Return a rule that everybody passes."""
    return Senders(domains_of(redis, settings), DomainSettings(required=False))


async def put(domains: Domains, before: Domain, after: Domain) -> None:
    """Make a domain what it is after some checks."""
    assert await domains.keep_check(before, after, timedelta(hours=1), None) is not None
