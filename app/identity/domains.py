"""The domains that projects send from, in Redis.

`domains:<project>` holds a record for each name. `domain_checks` holds when each is checked next, for the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.errors import FieldError, InvalidRequest, NotFound
from app.identity.domain import Domain
from app.identity.events import DomainEvent
from app.identity.keybook import KeyBook
from app.identity.records import Hosts, Record, records_of
from app.ids import ProjectId
from app.settings.domains import DomainSettings
from app.spool.client import Redis
from app.spool.codec import DOMAIN, encode_fact
from app.spool.replies import as_bytes, as_int, as_list, as_text
from app.spool.scripts import Scripts

_FIRST_CHECK = timedelta(minutes=1)
_LEASE = timedelta(minutes=1)
"""How long a domain that is due is left to the worker that was given it."""


@dataclass(frozen=True, slots=True)
class DomainName:
    """Which domain of which project."""

    project: ProjectId
    name: str


class Domains:
    """The domains of all projects. All methods raise SpoolError when Redis cannot answer."""

    def __init__(
        self,
        redis: Redis,
        scripts: Scripts,
        settings: DomainSettings,
        keys: KeyBook,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Use the connections of `redis`; `keys` keeps the DKIM keys of what is created here."""
        self._redis = redis
        self._scripts = scripts
        self._settings = settings
        self._hosts = Hosts(settings.spf, settings.return_path_host)
        self._clock = clock
        self.keys = keys

    async def create(self, project: ProjectId, name: str, return_path: str) -> Domain:
        """Keep a new domain, with keys of its own. Raises InvalidRequest for one too many, or one there is."""
        now, most = self._clock(), self._settings.max_domains
        await self.keys.prepare(project, name)
        domain = Domain(project, name, return_path, now, since=now)
        kept = await self._redis.keep(
            self._scripts.keep_domain, project, name, DOMAIN.encode(domain), most, _ms(_FIRST_CHECK)
        )
        if as_text(kept) == "taken":
            detail = "the project has this domain already: get it, or delete it first"
            raise InvalidRequest((FieldError("/name", "domain_exists", detail),))
        if as_text(kept) == "too_many":
            await self.keys.forget(project, name)
            detail = f"a project may have {most} domains: delete one that is no longer needed"
            raise InvalidRequest((FieldError("", "too_many_domains", detail),))
        return domain

    async def all(self, project: ProjectId) -> tuple[Domain, ...]:
        """Return the domains of a project, by name."""
        stored = as_list(await self._redis.call("HVALS", self._redis.keys.domains + project))
        found = (DOMAIN.decode(as_bytes(record)) for record in stored)
        return tuple(sorted(found, key=lambda domain: domain.name))

    async def one(self, project: ProjectId, name: str) -> Domain:
        """Return a domain. Raises NotFound, for foreign ones too."""
        stored = await self._stored(project, name)
        if stored is None:
            raise _no_such(name)
        return DOMAIN.decode(stored)

    async def some(self, project: ProjectId, names: Sequence[str]) -> tuple[Domain, ...]:
        """Return those of these domains that the project has, in their order."""
        if not names:
            return ()
        found = await self._redis.call("HMGET", self._redis.keys.domains + project, *names)
        return tuple(DOMAIN.decode(as_bytes(record)) for record in as_list(found) if record)

    async def records(self, domain: Domain) -> tuple[Record, ...]:
        """Return what the domain has to publish."""
        keys = await self.keys.listed(domain.project, domain.name)
        return records_of(domain.name, domain.return_path, keys, self._hosts)

    async def delete(self, project: ProjectId, name: str) -> None:
        """Remove a domain with its keys. Raises NotFound, for foreign ones too."""
        removed = as_int(await self._redis.run(self._scripts.remove_domain, project, name))
        if removed == 0:
            raise _no_such(name)
        await self.keys.forget(project, name)

    async def hasten(self, domain: Domain, wait: timedelta) -> None:
        """Let the clock check the domain after `wait`, whatever it planned."""
        await self._redis.run(self._scripts.hasten_domain, domain.project, domain.name, _ms(wait))

    async def due(self, most: int) -> tuple[DomainName, ...]:
        """Return domains that are to be checked now; nobody else gets them for a minute."""
        found = as_list(await self._redis.run(self._scripts.due_domains, most, _ms(_LEASE)))
        pairs = (as_text(member).split("/") for member in found)
        return tuple(DomainName(ProjectId(project), name) for project, name in pairs)

    async def keep_check(
        self, before: Domain, after: Domain, wait: timedelta, event: DomainEvent | None
    ) -> tuple[str, ...] | None:
        """Keep the result of a check, tell it, and plan the next one; return the lanes to wake.

        None where the domain is not what it was before the check: another check was faster, or it was deleted.
        """
        # What an older program has written may be written otherwise now, so the bytes that are there count.
        stored = await self._stored(before.project, before.name)
        if stored is None or DOMAIN.decode(stored) != before:
            return None
        kept = await self._redis.run(
            self._scripts.keep_check,
            before.project,
            before.name,
            stored,
            DOMAIN.encode(after),
            _ms(wait),
            event.type if event else "",
            encode_fact(event) if event else b"",
            after.events,
        )
        match as_list(kept):
            case [b"kept", *wakes]:
                return tuple(as_text(lane) for lane in wakes)
            case _:
                return None

    async def _stored(self, project: ProjectId, name: str) -> bytes | None:
        stored = await self._redis.call("HGET", self._redis.keys.domains + project, name)
        return as_bytes(stored) if stored else None


def _ms(length: timedelta) -> int:
    return max(1, round(length.total_seconds() * 1000))


def _no_such(name: str) -> NotFound:
    return NotFound(f"there is no domain {name} in this project")
