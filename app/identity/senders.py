"""The rule that mail comes from verified domains: asked when it is accepted, and again before it is sent.

A verified domain covers the names below it, as DMARC aligns them (RFC 7489 §3.1). What a process has seen to be
verified it believes for seconds, so that most mails cost a look into a dictionary.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.errors import FieldError, InvalidRequest
from app.identity.domain import Domain, DomainStatus
from app.identity.domains import Domains
from app.identity.names import with_parents
from app.ids import ProjectId
from app.letters.drafts import AnyDraft, RawDraft
from app.settings.domains import DomainSettings

_MOST_REMEMBERED = 10_000


class Standing(StrEnum):
    """Whether a project may send from a domain."""

    FREE = "free"
    """It may."""
    PENDING = "pending"
    """The domain, or one above it, waits to be verified."""
    FAILING = "failing"
    """It was verified, and its records have been wrong for too long."""
    FOREIGN = "foreign"
    """The project has no such domain."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found of a domain, and until when it is believed."""

    until: float
    standing: Standing
    return_path: str | None


class Senders:
    """Tells from which domains projects may send. All methods raise SpoolError when Redis cannot answer."""

    def __init__(
        self,
        domains: Domains,
        settings: DomainSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` counts seconds."""
        self._domains = domains
        self._is_required = settings.required
        self._shared = frozenset(settings.shared)
        self._remember_s = settings.cache.total_seconds()
        self._clock = clock
        self._known: OrderedDict[tuple[ProjectId, str], _Known] = OrderedDict()

    async def require(self, draft: AnyDraft, project: ProjectId) -> None:
        """Raise InvalidRequest unless the project may send in the name of everybody whom the draft names so."""
        refused = [
            _refusal(pointer, domain, standing)
            for pointer, domain in _names_of(draft)
            if (standing := await self.standing(project, domain)) is not Standing.FREE
        ]
        if refused:
            raise InvalidRequest(tuple(refused))

    async def standing(self, project: ProjectId, domain: str) -> Standing:
        """Tell whether the project may send from this domain now, or could until some seconds ago."""
        if not self._is_required:
            return Standing.FREE
        known = self._remembered(project, domain)
        if known is None or known.standing is not Standing.FREE:
            # What was not free may have been verified right now.
            known = await self._ask(project, domain)
        return known.standing

    async def return_path_domain(self, project: ProjectId, author_domain: str) -> str | None:
        """Return the return path of a verified domain whose records for it are right, too; None for others."""
        known = self._remembered(project, author_domain)
        if known is None:
            known = await self._ask(project, author_domain)
        return known.return_path

    def _remembered(self, project: ProjectId, domain: str) -> _Known | None:
        known = self._known.get((project, domain))
        return known if known and known.until > self._clock() else None

    async def _ask(self, project: ProjectId, domain: str) -> _Known:
        names = tuple(with_parents(domain))
        found = await self._domains.some(project, names)
        verified = [each for each in found if each.status is DomainStatus.VERIFIED]
        standing = Standing.FREE if self._shared.intersection(names) else _standing(found)
        known = _Known(
            self._clock() + self._remember_s,
            standing,
            verified[0].usable_return_path if verified else None,
        )
        self._known[project, domain] = known
        self._known.move_to_end((project, domain))
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return known


def _standing(found: Sequence[Domain]) -> Standing:
    states = {each.status for each in found}
    if DomainStatus.VERIFIED in states:
        return Standing.FREE
    if DomainStatus.FAILING in states:
        return Standing.FAILING
    return Standing.PENDING if states else Standing.FOREIGN


def _names_of(draft: AnyDraft) -> Iterator[tuple[str, str]]:
    """Yield each domain in whose name the mail speaks, once, and where the request names it.

    Readers show Sender beside From, and failures are told to the return path: neither may be a stranger's.
    """
    yield draft.sender_pointer, draft.sender.address.domain
    if isinstance(draft, RawDraft):
        own = draft.sender.address.domain
        submitter, mail_from = draft.mail.submitter, draft.mail_from
        if submitter and submitter.domain != own:
            yield "/header/sender", submitter.domain
        if mail_from.domain != own:
            yield "/mail_from", mail_from.domain


def _refusal(pointer: str, domain: str, standing: Standing) -> FieldError:
    remedies = {
        Standing.PENDING: "waits to be verified: publish the records that `GET /domains/{name}` lists, then "
        "`POST /domains/{name}/verify`",
        Standing.FAILING: "is failing: `GET /domains/{name}` says which of its records are wrong; correct them, "
        "then `POST /domains/{name}/verify`",
        Standing.FOREIGN: "is no domain of this project: add it with `POST /domains`, publish the records "
        "that the answer lists, and verify it",
    }
    detail = f"{domain} {remedies[standing]}"
    return FieldError(pointer, "domain_not_verified", detail)
