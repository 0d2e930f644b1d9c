"""The key store: the DKIM keys of each domain of each project, with their secrets encrypted.

`dkim:<project>:<domain>` holds everything of one domain under a version. A change is worked out here, by the
rules of `app.identity.keys.dkimkeys`, and written in one atomic step if the version is still the one that was
read; else it is worked out again. So two calls at once make one change after the other, and a call that dies has
changed nothing.

Secrets of keys that neither sign nor will are destroyed by the change that ends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import TypeAlias

from app.errors import SpoolUnavailable
from app.identity.keys.dkimkeys import (
    DomainKey,
    Keys,
    aging_since,
    awaited,
    confirmed,
    ended,
    in_order,
    remembered,
    with_room,
)
from app.identity.keys.material import Made, imported, made_generation
from app.identity.keys.vault import Vault
from app.ids import ProjectId
from app.mail.dkim import SigningKey, load_key
from app.spool.client import Argument, Redis, Reply, Script
from app.spool.codec import Codec
from app.spool.keyspace import Keyspace
from app.spool.replies import as_bytes, as_int, as_list, as_text

_TRIES = 20
"""How often a change is worked out anew because of others; so many at once come from no person."""
_RECORD, _SECRET = "k:", "s:"
_CODEC = Codec(DomainKey)
_CANARY_PLACE = ("canary",)

_Change: TypeAlias = Callable[["_Ring", datetime], "_Ring"]


@dataclass(frozen=True, slots=True)
class _Ring:
    """All keys of one domain, and the encrypted secrets of those that sign or will."""

    version: int
    keys: Keys
    sealed: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signers:
    """The keys that sign for a domain, and the version of all that it has; 0 where it has none."""

    version: int
    keys: tuple[SigningKey, ...]


class KeyStore:
    """The DKIM keys of all projects. All methods raise SpoolError when Redis cannot answer."""

    def __init__(
        self,
        redis: Redis,
        vault: Vault,
        kept: timedelta,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Use the connections of `redis`. `kept` is how long records stay once their keys sign no more."""
        self._redis = redis
        self._vault = vault
        self._kept = kept
        self._clock = clock
        self._making = asyncio.Semaphore(1)

    async def keys(self, project: ProjectId, domain: str) -> Keys:
        """Return the keys of a domain (in A-labels), oldest first; none for a domain that has none."""
        return remembered((await self._ring(project, domain)).keys, self._clock())

    async def prepare(self, project: ProjectId, domain: str) -> None:
        """Make the first keys of a domain, where it has none. Raises VaultClosed."""
        if not any(key.is_usable for key in await self.keys(project, domain)):
            await self.rotate(project, domain)

    async def rotate(self, project: ProjectId, domain: str) -> Keys:
        """Return the keys made here that wait for their records, new ones for both algorithms if there are none.

        The first call makes the first keys of a domain. However many calls come at once, they make one generation.
        Raises VaultClosed, or InvalidRequest for too many keys.
        """
        if pending := awaited(await self.keys(project, domain)):
            return pending
        await self.require_secret()
        async with self._making:
            made = await asyncio.to_thread(made_generation, domain, self._clock())

        def change(ring: _Ring, _now: datetime) -> _Ring:
            if awaited(ring.keys):
                return ring
            return self._with(ring, project, domain, made)

        return awaited((await self._change(project, domain, change)).keys)

    async def add(self, project: ProjectId, domain: str, selector: str, pem: bytes) -> DomainKey:
        """Keep a key that the caller has; it signs once its record is found in DNS.

        Raises VaultClosed, or InvalidRequest for what is no such key, a selector that is taken, or too many keys.
        """
        await self.require_secret()
        async with self._making:
            made = await asyncio.to_thread(imported, pem, domain, selector, self._clock())
        await self._change(
            project, domain, lambda ring, _: self._with(ring, project, domain, (made,))
        )
        return made.key

    async def confirm(self, project: ProjectId, domain: str, found: Collection[str]) -> None:
        """Let pending keys sign whose records were found in DNS.

        `found` are the selectors at which the domain's name servers gave the record that was wanted. The former
        keys of the same algorithm retire. Repeating it changes nothing.
        """

        def change(ring: _Ring, now: datetime) -> _Ring:
            return _Ring(ring.version, confirmed(ring.keys, found, now, self._kept), ring.sealed)

        await self._change(project, domain, change)

    async def revoke(
        self, project: ProjectId, domain: str, selector: str, *, even_if_last: bool = False
    ) -> None:
        """End a key at once, in seconds everywhere; forget it if it has never signed or is over already.

        Raises NotFound, or InvalidRequest for the last key that signs unless `even_if_last`.
        """

        def change(ring: _Ring, now: datetime) -> _Ring:
            keys = ended(ring.keys, selector, now, even_if_last=even_if_last)
            return _Ring(ring.version, keys, ring.sealed)

        await self._change(project, domain, change)

    async def forget(self, project: ProjectId, domain: str) -> None:
        """Destroy all keys of a domain; there may be none."""
        await self._change(project, domain, lambda ring, _: _Ring(ring.version, (), {}))

    async def signers(self, project: ProjectId, domain: str) -> Signers:
        """Return the keys that sign for exactly this domain, decrypted. Raises VaultClosed."""
        ring = await self._ring(project, domain)
        keys = tuple(
            load_key(
                self._vault.open(ring.sealed[key.selector], _place(project, domain, key)),
                domain,
                key.selector,
                is_known=True,
            )
            for key in ring.keys
            if key.is_active
        )
        return Signers(ring.version, keys)

    async def version(self) -> int:
        """Return a number that grows with every change of any key."""
        found = await self._redis.call("HGET", self._redis.keys.keyring, "version")
        return as_int(found or 0)

    async def version_of(self, project: ProjectId, domain: str) -> int:
        """Return the number that the last change of these keys made; 0 where there are none."""
        key = self._redis.keys.dkim + _name(project, domain)
        return as_int(await self._redis.call("HGET", key, "version") or 0)

    async def require_secret(self) -> None:
        """Raise VaultClosed unless the secret of this process is the one that Redis' keys are encrypted with.

        The first call of an installation leaves a mark there, by which all later ones, in all processes, are
        judged: a process that was given another secret by mistake seals nothing with it.
        """
        mark = self._vault.seal(b"", _CANARY_PLACE)
        key = self._redis.keys.keyring
        await self._redis.call("HSETNX", key, "canary", mark)
        self._vault.open(as_bytes(await self._redis.call("HGET", key, "canary")), _CANARY_PLACE)

    async def check_secret(self) -> None:
        """Raise VaultClosed where something is encrypted in Redis that the secret of this process cannot open."""
        mark = await self._redis.call("HGET", self._redis.keys.keyring, "canary")
        if mark is not None:
            self._vault.open(as_bytes(mark), _CANARY_PLACE)

    async def reseal(self, project: ProjectId, domain: str) -> int:
        """Encrypt what former secrets sealed under the current one; return how many keys. Raises VaultClosed."""
        changed = 0

        def change(ring: _Ring, _now: datetime) -> _Ring:
            nonlocal changed
            fresh = {
                key.selector: self._resealed(
                    ring.sealed[key.selector], _place(project, domain, key)
                )
                for key in ring.keys
                if key.is_usable and not self._vault.is_current(ring.sealed[key.selector])
            }
            changed = len(fresh)
            return _Ring(ring.version, ring.keys, {**ring.sealed, **fresh})

        await self._change(project, domain, change)
        return changed

    async def reseal_mark(self) -> None:
        """Let the mark that judges secrets be opened by the current one alone. Raises VaultClosed."""
        mark = self._vault.seal(b"", _CANARY_PLACE)
        await self._redis.call("HSET", self._redis.keys.keyring, "canary", mark)

    def _resealed(self, sealed: bytes, place: Sequence[str]) -> bytes:
        return self._vault.seal(self._vault.open(sealed, place), place)

    def _with(self, ring: _Ring, project: ProjectId, domain: str, made: tuple[Made, ...]) -> _Ring:
        keys = with_room(ring.keys, tuple(each.key for each in made))
        sealed = {
            each.key.selector: self._vault.seal(each.pem, _place(project, domain, each.key))
            for each in made
        }
        return _Ring(ring.version, keys, {**ring.sealed, **sealed})

    async def _ring(self, project: ProjectId, domain: str) -> _Ring:
        key = self._redis.keys.dkim + _name(project, domain)
        stored = as_list(await self._redis.call("HGETALL", key))
        return _read(dict(zip(map(as_text, stored[::2]), stored[1::2], strict=True)))

    async def _change(self, project: ProjectId, domain: str, change: _Change) -> _Ring:
        for _ in range(_TRIES):
            before, now = await self._ring(project, domain), self._clock()
            tidied = _Ring(before.version, remembered(before.keys, now), before.sealed)
            after = change(tidied, now)
            if after.keys == before.keys and after.sealed == before.sealed:
                return after
            script = _script("change_keys", self._redis.keys)
            if as_int(await self._redis.keep(script, *_step(project, domain, before, after))):
                return after
        raise SpoolUnavailable(f"the keys of {domain} are being changed by too many at once")


def _place(project: ProjectId, domain: str, key: DomainKey) -> tuple[str, ...]:
    return ("dkim", project, domain, key.selector, key.algorithm)


def _name(project: ProjectId, domain: str) -> str:
    return f"{project}:{domain}"


def _read(stored: Mapping[str, Reply]) -> _Ring:
    keys = [
        _CODEC.decode(as_bytes(value)) for name, value in stored.items() if name.startswith(_RECORD)
    ]
    sealed = {
        name.removeprefix(_SECRET): as_bytes(value)
        for name, value in stored.items()
        if name.startswith(_SECRET)
    }
    return _Ring(as_int(stored.get("version") or 0), in_order(keys), sealed)


def _step(project: ProjectId, domain: str, before: _Ring, after: _Ring) -> list[Argument]:
    """Return the arguments of the atomic step that makes one of the other."""
    old, new = _fields(before), _fields(after)
    gone = [name for name in old if name not in new]
    changed = [(name, value) for name, value in new.items() if old.get(name) != value]
    aging = aging_since(after.keys)
    score: Argument = round(aging.timestamp() * 1000) if aging else "inf"
    return [
        _name(project, domain),
        before.version,
        score if after.keys else "",
        int(any(key.is_pending for key in after.keys)),
        len(gone),
        *gone,
        *(part for pair in changed for part in pair),
    ]


def _fields(ring: _Ring) -> dict[str, bytes]:
    usable = {key.selector for key in ring.keys if key.is_usable}
    records = {_RECORD + key.selector: _CODEC.encode(key) for key in ring.keys}
    secrets = {_SECRET + name: value for name, value in ring.sealed.items() if name in usable}
    return records | secrets


@cache
def _script(name: str, keys: Keyspace) -> Script:
    text = (files("app.identity.keys") / "lua" / f"{name}.lua").read_text()
    return Script(f"{keys.as_lua()}\n{text}")
