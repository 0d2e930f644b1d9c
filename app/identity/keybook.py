"""What domains need of whoever keeps their DKIM keys."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Protocol

from app.identity.keys.dkimkeys import KeyState
from app.identity.keys.keystore import KeyStore
from app.identity.records import PublicKey
from app.ids import ProjectId


class KeyBook(Protocol):
    """The keys of all domains, without their secrets. All methods raise SpoolError when Redis is away."""

    async def prepare(self, project: ProjectId, domain: str, /) -> None:
        """Make the first keys of a domain, where it has none."""

    async def listed(self, project: ProjectId, domain: str, /) -> tuple[PublicKey, ...]:
        """Return the keys whose records must be in the DNS, those that sign or will sign first."""

    async def confirm(self, project: ProjectId, domain: str, selectors: Collection[str], /) -> None:
        """Take note that the records of these selectors are in the DNS as they should be."""

    async def forget(self, project: ProjectId, domain: str, /) -> None:
        """Destroy the keys of a domain that was deleted."""


class StoredKeys:
    """The keys of the key store. All methods raise VaultClosed where its secret is missing."""

    def __init__(
        self, store: KeyStore, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Use `store`."""
        self._store = store
        self._clock = clock
        self.prepare = store.prepare
        self.confirm = store.confirm
        self.forget = store.forget

    async def listed(self, project: ProjectId, domain: str, /) -> tuple[PublicKey, ...]:
        """Return the keys whose records must be in the DNS.

        Required are those that sign, and of an algorithm of which none signs yet, those that will.
        """
        keys, now = await self._store.keys(project, domain), self._clock()
        signing = {key.algorithm for key in keys if key.is_active}
        found = [
            PublicKey(
                key.selector,
                key.published(),
                key.is_active or (key.is_pending and key.algorithm not in signing),
            )
            for key in keys
            if key.state(now) is not KeyState.RETIRED
        ]
        return tuple(sorted(found, key=lambda key: not key.is_required))
