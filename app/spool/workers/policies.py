"""MTA-STS policies that were fetched (RFC 8461), shared by all workers and kept for as long as each asks for.

Another server's policy is kept even when it can no longer be fetched: whoever stands in the way must not be
able to make us forget it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.spool.client import Redis
from app.spool.codec import Codec, Unreadable
from app.spool.replies import as_bytes, as_list, as_text
from app.spool.scripts import Scripts

_LEASE = timedelta(hours=1)
"""How long a domain is left to the worker that was given it, before another tries to refresh its policy."""
_UNUSED = timedelta(days=30)
"""After this time without mail a policy is no longer refreshed, and ends when its own time does."""


class Mode(StrEnum):
    """What a policy wants of senders (RFC 8461 §5)."""

    ENFORCE = "enforce"
    """No mail without a host that is listed and a certificate that is valid."""
    TESTING = "testing"
    """Mail as if there were no policy; failures are to be reported."""
    NONE = "none"
    """The domain no longer has a policy."""


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """A policy as it was fetched. `hosts` are patterns in lower case; `id` is that of the DNS record."""

    id: str
    mode: Mode
    hosts: tuple[str, ...]
    fetched_at: datetime
    expires_at: datetime


_POLICY = Codec(StsPolicy)


class PolicyShelf:
    """What Redis keeps of policies. All methods raise SpoolError when Redis cannot answer."""

    def __init__(self, redis: Redis, scripts: Scripts) -> None:
        """Use the connections of `redis`."""
        self._redis = redis
        self._scripts = scripts

    async def load(self, domain: str) -> StsPolicy | None:
        """Return the policy that is kept for a domain, and note that it is used.

        One that this program cannot read counts as none: it is fetched again.
        """
        stored = await self._redis.run(self._scripts.load_policy, domain)
        try:
            return _POLICY.decode(as_bytes(stored)) if stored else None
        except Unreadable:
            return None

    async def keep(self, domain: str, policy: StsPolicy, refresh_after: timedelta) -> None:
        """Keep a policy until it expires, and let it be refreshed some time before."""
        life = policy.expires_at - policy.fetched_at
        stored = _POLICY.encode(policy)
        await self._redis.run(
            self._scripts.keep_policy, domain, stored, _ms(life), _ms(refresh_after)
        )

    async def due(self, most: int) -> tuple[str, ...]:
        """Return domains whose policies are to be refreshed now; nobody else gets them for an hour."""
        found = await self._redis.run(self._scripts.due_policies, most, _ms(_LEASE), _ms(_UNUSED))
        return tuple(map(as_text, as_list(found)))


def _ms(length: timedelta) -> int:
    return max(1, round(length.total_seconds() * 1000))
