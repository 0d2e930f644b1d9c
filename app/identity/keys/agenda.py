"""What is to be done about keys, and when: looks for records that are to be published, and rotations by
schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files

from app.ids import ProjectId
from app.spool.client import Redis, Reply, Script
from app.spool.keyspace import Keyspace
from app.spool.replies import as_list, as_text


@dataclass(frozen=True, slots=True)
class Owner:
    """Which domain of which project has keys."""

    project: ProjectId
    domain: str


class Agenda:
    """Of all projects. All methods raise SpoolError when Redis cannot answer."""

    def __init__(self, redis: Redis) -> None:
        """Use the connections of `redis`."""
        self._redis = redis

    async def looks(self, most: int, hold: timedelta) -> tuple[Owner, ...]:
        """Return domains whose new records are to be looked for now; nobody else gets them for `hold`."""
        script = _script("due_looks", self._redis.keys)
        return _owners(await self._redis.run(script, most, _ms(hold)))

    async def plan(self, owner: Owner, wait: timedelta) -> None:
        """Let the records of a domain be looked for again after `wait`, if any are missing still."""
        script = _script("plan_look", self._redis.keys)
        await self._redis.run(script, f"{owner.project}:{owner.domain}", _ms(wait))

    async def aged(self, before: datetime, most: int) -> tuple[Owner, ...]:
        """Return domains whose newest key that signs was made before a moment, while no rotation is under way."""
        script, moment = _script("aged_keys", self._redis.keys), round(before.timestamp() * 1000)
        return _owners(await self._redis.run(script, moment, most))

    async def scan(self, cursor: int) -> tuple[int, tuple[Owner, ...]]:
        """Return some of all domains with keys, and where to go on: 0 where these were the last.

        Whoever goes on until 0 meets every domain that was there all the time, some of them twice.
        """
        found = await self._redis.call("ZSCAN", self._redis.keys.dkim_domains, cursor, "COUNT", 100)
        following, pairs = as_list(found)
        return int(as_text(following)), _owners(as_list(pairs)[::2])


def _owners(names: Reply) -> tuple[Owner, ...]:
    pairs = (as_text(name).split(":", 1) for name in as_list(names))
    return tuple(Owner(ProjectId(project), domain) for project, domain in pairs)


def _ms(length: timedelta) -> int:
    return max(1, round(length.total_seconds() * 1000))


@cache
def _script(name: str, keys: Keyspace) -> Script:
    text = (files("app.identity.keys") / "lua" / f"{name}.lua").read_text()
    return Script(f"{keys.as_lua()}\n{text}")
