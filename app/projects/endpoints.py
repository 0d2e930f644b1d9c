"""Webhook endpoints: the URLs a project wants its events posted to.

The record stands in `endpoint:<project>`; what the atomic steps need to hand out events stands beside it
in `endpoints:<project>`, and both change together.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.errors import FieldError, InvalidRequest, NotFound
from app.events import EventType
from app.ids import EndpointId, ProjectId, new_endpoint_id
from app.projects.urls import UrlError, check_url
from app.settings import WebhookSettings
from app.spool.client import Redis, Script
from app.spool.codec import Codec
from app.spool.replies import as_bytes, as_int, as_list
from app.spool.workers.claims import EndpointLane

_SECRET_BYTES = 32
_ANY = "*"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One URL with its secret; `events` are the types it is told of, all where empty."""

    id: EndpointId
    url: str
    secret: str = field(repr=False)
    events: tuple[EventType, ...]
    description: str
    created_at: datetime


_CODEC = Codec(Endpoint)


async def load_endpoint(redis: Redis, project: ProjectId, endpoint: EndpointId) -> Endpoint | None:
    """Return an endpoint of the project, or None where there is none of that id (any more)."""
    stored = await redis.call("HGET", redis.keys.endpoint + project, endpoint)
    return _CODEC.decode(as_bytes(stored)) if stored else None


class Endpoints:
    """The endpoints of all projects. All methods raise SpoolError when Redis cannot answer."""

    def __init__(self, redis: Redis, settings: WebhookSettings) -> None:
        """Use the connections of `redis`."""
        self._redis = redis
        self._settings = settings

    async def create(
        self, project: ProjectId, url: str, events: Sequence[EventType], description: str
    ) -> Endpoint:
        """Keep a new endpoint with a new secret; it is told of what happens from now on.

        Raises InvalidRequest for a URL that must not be called, or one endpoint too many.
        """
        self._check(url)
        endpoint = Endpoint(
            id=new_endpoint_id(),
            url=url,
            secret=_new_secret(),
            events=tuple(dict.fromkeys(events)),
            description=description,
            created_at=datetime.now(UTC),
        )
        await self._keep(project, endpoint)
        return endpoint

    async def all(self, project: ProjectId) -> tuple[Endpoint, ...]:
        """Return the endpoints of a project, oldest first."""
        stored = as_list(await self._redis.call("HVALS", self._redis.keys.endpoint + project))
        found = (_CODEC.decode(as_bytes(record)) for record in stored)
        return tuple(sorted(found, key=lambda endpoint: endpoint.id))

    async def one(self, project: ProjectId, endpoint: EndpointId) -> Endpoint:
        """Return an endpoint. Raises NotFound, for foreign ids too."""
        found = await load_endpoint(self._redis, project, endpoint)
        if found is None:
            raise _no_such(endpoint)
        return found

    async def delete(self, project: ProjectId, endpoint: EndpointId) -> None:
        """Remove an endpoint and all events that wait for it. Raises NotFound, for foreign ids too."""
        script = self._script("remove_endpoint")
        lane = EndpointLane(project, endpoint).name
        if as_int(await self._redis.run(script, project, endpoint, lane)) == 0:
            raise _no_such(endpoint)

    def _script(self, name: str) -> Script:
        return Script.of_file("app.projects", name, self._redis.keys)

    def _check(self, url: str) -> None:
        try:
            check_url(url, self._settings.allowed_networks)
        except UrlError as error:
            raise InvalidRequest((FieldError("/url", "invalid_url", error.reason),)) from error

    async def _keep(self, project: ProjectId, endpoint: Endpoint) -> None:
        most = self._settings.max_endpoints
        added = await self._redis.run(
            self._script("add_endpoint"),
            project,
            endpoint.id,
            _CODEC.encode(endpoint),
            _wanted(endpoint.events),
            most,
        )
        if as_int(added) == 0:
            detail = f"a project may have {most} endpoints: delete one that is no longer needed"
            raise InvalidRequest((FieldError("", "too_many_endpoints", detail),))


def _wanted(events: Sequence[EventType]) -> str:
    # Spaces on both sides, so that the atomic steps find a whole type by a plain search.
    return f" {' '.join(events)} " if events else _ANY


def _new_secret() -> str:
    """Return a secret as Standard Webhooks writes it: 24 to 64 random bytes in base64 after a prefix."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _no_such(endpoint: EndpointId) -> NotFound:
    return NotFound(f"there is no endpoint {endpoint} in this project")
