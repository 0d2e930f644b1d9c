"""API keys: made once, shown once, kept as a digest, and asked for on every request.

A key reads `pb_<id>_<secret><checksum>`. The id finds the record, the secret (160 random bits) proves it,
and the checksum lets a mistyped or cut-off key fail without a look at Redis; it also lets scanners of
source code tell a key from noise. What Redis keeps under `key:<id>` is a `KeyRecord`: the SHA-256 of the
secret, the project, the scopes. A plain digest is enough, since nobody can guess 160 random bits.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from app.errors import FieldError, Forbidden, InvalidRequest, Unauthenticated
from app.ids import KeyId, ProjectId, new_key_id
from app.mail.characters import forbidden
from app.spool.client import Redis
from app.spool.codec import Codec
from app.spool.replies import as_bytes, as_int

_SECRET_BYTES = 20
_MAX_CACHED = 10_000
_MAX_NAME = 100
_KEY = re.compile(r"(pb_([0-9a-f]{32})_([0-9a-f]{40}))([0-9a-f]{8})")
_PROJECT = re.compile(r"[a-z0-9_-]{1,40}")


class Scope(StrEnum):
    """What a key may do."""

    SEND = "send"
    """Send messages."""
    READ = "read"
    """Read messages, their events and attempts."""
    MANAGE = "manage"
    """Create, list and delete webhook endpoints."""


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the project, by which key, with which scopes."""

    project: ProjectId
    key: KeyId
    scopes: frozenset[Scope]

    def require(self, scope: Scope) -> None:
        """Raise Forbidden unless the key has `scope`."""
        if scope not in self.scopes:
            raise Forbidden(
                f"this API key lacks the scope `{scope}`: use or create a key that has it"
            )


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is kept of a key; the secret is not."""

    project: ProjectId
    name: str
    scopes: frozenset[Scope]
    digest: bytes
    created_at: datetime


_CODEC = Codec(KeyRecord)


async def create_key(
    redis: Redis, project: str, name: str, scopes: frozenset[Scope] = ALL_SCOPES
) -> str:
    """Keep a new key and return it; it cannot be shown again. The first key of a project creates the project.

    Raises InvalidRequest for a project or a name that cannot be, SpoolError when Redis cannot keep it.
    """
    _check(project, name)
    identity, secret = new_key_id(), secrets.token_hex(_SECRET_BYTES)
    record = KeyRecord(ProjectId(project), name, scopes, _digest(secret), datetime.now(UTC))
    await redis.call("SET", redis.keys.key + identity, _CODEC.encode(record))
    return _with_checksum(f"pb_{identity}_{secret}")


async def revoke_key(redis: Redis, key: str) -> bool:
    """End a key, given whole or by its id; return whether there was one.

    Running processes may accept it until their cache forgets it (`api.key_cache`).
    """
    found = _KEY.fullmatch(key)
    return as_int(await redis.call("DEL", redis.keys.key + (found[2] if found else key))) == 1


class Doorman:
    """Tells who a caller is by the Authorization header, and remembers keys for a moment."""

    def __init__(
        self, redis: Redis, remember: timedelta, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`remember` is how long a revoked key may still pass; `clock` counts seconds."""
        self._redis = redis
        self._remember_s = remember.total_seconds()
        self._clock = clock
        self._known: dict[KeyId, tuple[float, KeyRecord]] = {}

    async def identify(self, authorization: str | None) -> Caller:
        """Return the caller. Raises Unauthenticated, or SpoolError when Redis cannot be asked."""
        identity, secret = _parse(authorization)
        record = self._remembered(identity) or await self._look_up(identity)
        if record is None or not hmac.compare_digest(record.digest, _digest(secret)):
            raise Unauthenticated("this API key does not exist, or was revoked")
        return Caller(record.project, identity, record.scopes)

    def _remembered(self, identity: KeyId) -> KeyRecord | None:
        until, record = self._known.get(identity, (0.0, None))
        return record if self._clock() < until else None

    async def _look_up(self, identity: KeyId) -> KeyRecord | None:
        # Unknown keys are not remembered: whoever makes them up would fill the memory.
        stored = await self._redis.call("GET", self._redis.keys.key + identity)
        if stored is None:
            self._known.pop(identity, None)
            return None
        if len(self._known) >= _MAX_CACHED:
            self._known.clear()
        record = _CODEC.decode(as_bytes(stored))
        self._known[identity] = (self._clock() + self._remember_s, record)
        return record


def _parse(authorization: str | None) -> tuple[KeyId, str]:
    if not authorization:
        raise Unauthenticated("no API key: send the header `Authorization: Bearer pb_…`")
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("API keys are sent as `Authorization: Bearer pb_…`")
    found = _KEY.fullmatch(key.strip())
    if found is None or _with_checksum(found[1]) != found[0]:
        raise Unauthenticated("this is not a whole API key: check that it was copied completely")
    return KeyId(found[2]), found[3]


def _with_checksum(key: str) -> str:
    return f"{key}{zlib.crc32(key.encode()):08x}"


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _check(project: str, name: str) -> None:
    if _PROJECT.fullmatch(project) is None:
        detail = "use 1 to 40 of a-z, 0-9, _ and -"
        raise InvalidRequest((FieldError("/project", "invalid_name", detail),))
    if len(name) > _MAX_NAME or forbidden(name):
        detail = f"use at most {_MAX_NAME} characters and no control characters"
        raise InvalidRequest((FieldError("/name", "invalid_name", detail),))
