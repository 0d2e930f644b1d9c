"""The keyring: which keys sign for a domain of a project, decrypted and ready, without asking Redis for each mail.

A project's own keys come first, of the domain or of its nearest parent; where it has none that sign, the
operator's files do, which are for all projects. Every few seconds one mail asks Redis whether any key of the
installation has changed; only then is each domain that sends looked at again, and only those that changed are
loaded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.identity.keys.keyfolder import KeyFolder
from app.identity.keys.keystore import KeyStore
from app.ids import ProjectId
from app.mail.dkim import SigningKey

_LOOK_AGAIN_S = 2.0
"""How long a revoked key may still sign, and a new one not yet."""
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    """The keys of one domain by their version, and the version of all keys at which it was so."""

    version: int
    seen: int
    keys: tuple[SigningKey, ...]


class Keyring:
    """The keys that sign. Built once, at the start; without a store there are only the operator's files."""

    def __init__(
        self,
        folder: KeyFolder,
        store: KeyStore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` counts seconds."""
        self._folder = folder
        self._store = store
        self._clock = clock
        self._known: dict[tuple[ProjectId, str], _Known] = {}
        self._version = 0
        self._look_at = float("-inf")

    async def keys_for(self, project: ProjectId, domain: str) -> tuple[SigningKey, ...]:
        """Return the keys that sign what a project sends from a domain (in A-labels).

        Raises SpoolError when Redis had to be asked and does not answer, and VaultClosed where the project has
        keys that cannot be read: its mail does not go out unsigned.
        """
        if self._store:
            await self._look_for_changes(self._store)
            for name in _with_parents(domain):
                if keys := await self._own(self._store, project, name):
                    return keys
        return self.shared(domain)

    def shared(self, domain: str) -> tuple[SigningKey, ...]:
        """Return the operator's keys for a domain, its own or its nearest parent's."""
        return self._folder.keys_for(domain)

    async def _look_for_changes(self, store: KeyStore) -> None:
        now = self._clock()
        if now < self._look_at:
            return
        # The others go on with what is known meanwhile.
        self._look_at = now + _LOOK_AGAIN_S
        try:
            self._version = await store.version()
        except BaseException:
            self._look_at = float("-inf")
            raise

    async def _own(self, store: KeyStore, project: ProjectId, name: str) -> tuple[SigningKey, ...]:
        known, seen = self._known.get((project, name)), self._version
        if known and known.seen == seen:
            return known.keys
        if known and known.version == await store.version_of(project, name):
            fresh = _Known(known.version, seen, known.keys)
        else:
            found = await store.signers(project, name)
            fresh = _Known(found.version, seen, found.keys)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[project, name] = fresh
        return fresh.keys


def _with_parents(domain: str) -> Iterator[str]:
    """Yield the domain and those above it, but for the top."""
    while "." in domain:
        yield domain
        domain = domain.partition(".")[2]
