"""Return paths of a message: one for each recipient, where there is a domain for what comes back.

They are chosen when the message is accepted and kept with it, so that each retry has the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.identity.tokens import LONGEST_DOMAIN, MOST_RECIPIENTS, PURPOSE, Tokens
from app.ids import MessageId, ProjectId
from app.messages import Recipient, Stream
from app.settings import Settings


class PathDomains(Protocol):
    """Knows where what comes back is taken."""

    async def return_path_domain(self, project: ProjectId, author_domain: str) -> str | None:
        """Return the domain of return paths for mail from a domain, in A-labels; None where there is none.

        Raises SpoolError.
        """


class NoDomains:
    """Projects have no domains for return paths."""

    async def return_path_domain(self, _project: ProjectId, _author_domain: str) -> str | None:
        """Return None."""
        return None


@dataclass(frozen=True, slots=True)
class Place:
    """A domain that return paths stand at."""

    tokens: Tokens
    domain: str

    def paths(
        self,
        project: ProjectId,
        stream: Stream,
        message: MessageId,
        recipients: Sequence[Recipient],
    ) -> tuple[str, ...]:
        """Return the return path of each recipient of a message; none where they are too many."""
        if len(recipients) > MOST_RECIPIENTS:
            return ()
        addresses = [recipient.address for recipient in recipients]
        tokens = self.tokens.make(project, stream, message, addresses)
        return tuple([f"{token}@{self.domain}" for token in tokens])


@dataclass(frozen=True, slots=True)
class ReturnPaths:
    """Knows where return paths stand. Built once, at the start; without keys for tokens they stand nowhere.

    `fallback` is the domain for mail whose project has none.
    """

    tokens: Tokens
    domains: PathDomains
    fallback: str | None

    @classmethod
    def of(cls, settings: Settings, domains: PathDomains) -> ReturnPaths:
        """Return what makes return paths by these settings."""
        keys = settings.secrets.derived(PURPOSE) if settings.return_path.enabled else ()
        return cls(Tokens(keys), domains, settings.return_path.domain)

    async def place(self, project: ProjectId, author_domain: str) -> Place | None:
        """Return where return paths stand for mail from a domain; None where bounces go to its author.

        A domain too long for a token is none (RFC 5321 §4.5.3.1.3). Raises SpoolError.
        """
        if not self.tokens:
            return None
        own = await self.domains.return_path_domain(project, author_domain)
        domain = own or self.fallback
        return Place(self.tokens, domain) if domain and len(domain) <= LONGEST_DOMAIN else None


NO_PATHS = ReturnPaths(Tokens(()), NoDomains(), None)
"""Bounces go to the author of each mail."""
