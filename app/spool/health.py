"""Whether Redis can take mail and keep it: what `/readyz` shows and what a start may insist on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from redis.exceptions import ResponseError

from app.errors import SpoolError, SpoolFull
from app.settings import RedisSettings
from app.spool.client import Redis
from app.spool.replies import as_bytes, as_list, as_text

_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Condition:
    """How Redis stands: `troubles` keep mail from being taken, `warnings` weaken what a 202 promises."""

    troubles: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Health:
    """Asks Redis about itself. Where CONFIG is forbidden (managed services) durability is unknown."""

    def __init__(self, redis: Redis, settings: RedisSettings) -> None:
        """Use the connections of `redis`."""
        self._redis = redis
        self._settings = settings
        self._crowding: tuple[str, ...] = ()

    async def check(self) -> Condition:
        """Return how Redis stands now; never raises."""
        try:
            info = await self._info()
            troubles = (*_troubles(info), *_crowding(info, self._settings))
            return Condition(troubles, await self._warnings())
        except SpoolError as error:
            return Condition(troubles=(error.detail,))

    async def watch(self) -> None:
        """Look each second whether there is room for new mail, for ever; run it as a task."""
        while True:
            try:
                self._crowding = _crowding(await self._info(), self._settings)
            except SpoolError:
                self._crowding = ()  # nothing is known of room; whoever accepts finds out what is wrong
            await asyncio.sleep(_LOOK_AGAIN_S)

    def require_room(self) -> None:
        """Raise SpoolFull where there was no room for new mail a second ago.

        New mail is refused before Redis is full, so that what is there has room to finish.
        """
        if self._crowding:
            raise SpoolFull(self._crowding[0])

    async def _info(self) -> dict[str, str]:
        return _fields(as_text(await self._redis.call("INFO")))

    async def _warnings(self) -> tuple[str, ...]:
        wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
        warnings = []
        for name, value in wanted.items():
            found = await self._config(name)
            if found != value:
                warnings.append(
                    f"Redis has {name} {found or 'unknown'}; accepted mail is only safe with {value}"
                )
        return tuple(warnings)

    async def _config(self, name: str) -> str | None:
        try:
            reply = as_list(await self._redis.call("CONFIG", "GET", name))
        except ResponseError:
            return None
        return as_bytes(reply[1]).decode() if len(reply) == 2 else None


def _fields(info: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in info.splitlines() if ":" in line)


def _troubles(info: dict[str, str]) -> tuple[str, ...]:
    troubles = []
    if info.get("loading") == "1":
        troubles.append("Redis is loading its data")
    if info.get("role") != "master":
        troubles.append("Redis is a read-only replica")
    if info.get("aof_enabled") == "1" and info.get("aof_last_write_status") != "ok":
        troubles.append("Redis could not write to its disk")
    return tuple(troubles)


def _crowding(info: dict[str, str], settings: RedisSettings) -> tuple[str, ...]:
    replicas = int(info.get("connected_slaves", 0))
    if replicas < settings.replicas:
        return (f"Redis has {replicas} replicas of {settings.replicas} that mail has to reach",)
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not most or used <= most * settings.headroom:
        return ()
    return (f"Redis holds {used} of {most} bytes; new mail waits until there is room",)
