"""What routes ask for: the parts that the process was built with, the caller, and the checked body.

Most routes declare what they need and FastAPI finds it. For the route that every message takes this
would cost more time than checking the message does, so it is `Direct`: it gets the request and asks here.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, TypeAlias, TypeVar

from fastapi import Depends, Path, Request, Response, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from pydantic import BaseModel

from app.accept import Acceptor
from app.api.body import MAIL, THREAD_ABOVE_BYTES, check_form, read_body, read_form
from app.api.document import KEY_HEADER, KEY_PATTERN
from app.api.problems import InvalidHeader
from app.api.sending.envelope import EnvelopeForm, read_query
from app.api.sending.requests import MessageRequest
from app.identity.domains import Domains
from app.identity.keys.keystore import KeyStore
from app.ids import MESSAGE_PATTERN, EndpointId, MessageId
from app.letters.authoring import Author
from app.letters.drafts import Draft, RawDraft
from app.projects.endpoints import Endpoints
from app.projects.keys import Caller, Doorman, Scope
from app.projects.suppressions import Suppressions
from app.projects.templates import Templates
from app.projects.tickets import Tickets
from app.projects.unsubscribing import Unsubscriber
from app.rehearsal.dryrun import Rehearsal
from app.settings import Settings
from app.spool.health import Health
from app.spool.inquiries import Inquiries
from app.spool.store import Idempotency, Store
from app.workshop.workshop import Workshop

Model = TypeVar("Model", bound=BaseModel)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes work with; built once, when the process starts."""

    settings: Settings
    acceptor: Acceptor
    store: Store
    endpoints: Endpoints
    templates: Templates
    author: Author
    suppressions: Suppressions
    unsubscriber: Unsubscriber
    tickets: Tickets
    domains: Domains
    inquiries: Inquiries
    dkim: KeyStore
    rehearsal: Rehearsal
    doorman: Doorman
    health: Health
    workshop: Workshop


class Direct(APIRoute):
    """A route whose function takes the request and returns the whole answer.

    What it asks for stands in its `openapi_extra`, since FastAPI cannot see it.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        """Return the function, with nothing around it."""
        answer: Callable[[Request], Coroutine[object, object, Response]] = self.endpoint
        return answer


async def services_of(request: Request) -> Services:
    """Return the parts of this process."""
    services: Services = request.app.state.services
    return services


async def identify(request: Request, *scopes: Scope) -> Caller:
    """Return the caller, whose key has all `scopes`. Raises Unauthenticated, Forbidden, or SpoolError."""
    services = await services_of(request)
    caller = await services.doorman.identify(request.headers.get("authorization"))
    for scope in scopes:
        caller.require(scope)
    return caller


class BearerKey(SecurityBase):
    """Asks for an API key with the scope that the route names, and says so in the OpenAPI."""

    model = HTTPBearer(description="An API key: `Authorization: Bearer pb_…`")
    scheme_name = "api_key"

    async def __call__(self, request: Request, wanted: SecurityScopes) -> Caller:
        """Return the caller. Raises what `identify` does."""
        return await identify(request, *map(Scope, wanted.scopes))


_bearer = BearerKey()


@dataclass(frozen=True, slots=True)
class Submission:
    """A request to send, as it came, with the key that makes a repetition of it safe."""

    body: bytes
    idempotency: Idempotency | None

    async def draft(self, settings: Settings) -> Draft:
        """Check every field. Raises MalformedJson, InvalidRequest, or TooLarge."""

        def read() -> Draft:
            return read_form(MessageRequest, self.body).to_draft(datetime.now(UTC), settings)

        return await _beside_the_loop_if_large(read, self.body)


@dataclass(frozen=True, slots=True)
class RawSubmission:
    """A finished mail as it came, with its envelope."""

    body: bytes
    query: bytes
    idempotency: Idempotency | None

    async def draft(self, settings: Settings) -> RawDraft:
        """Check envelope and mail. Raises InvalidRequest."""

        def read() -> RawDraft:
            form = check_form(EnvelopeForm, read_query(self.query))
            return form.to_draft(self.body, datetime.now(UTC), settings)

        return await _beside_the_loop_if_large(read, self.body)


def idempotency_key(request: Request) -> str | None:
    """Return the key that makes a repetition safe, None where there is none. Raises InvalidHeader."""
    key = request.headers.get(KEY_HEADER)
    if key is not None and not re.fullmatch(KEY_PATTERN, key):
        raise InvalidHeader(f"{KEY_HEADER}: must be 1 to 256 visible ASCII characters")
    return key


async def submission(request: Request) -> Submission:
    """Read the body and its idempotency key. Raises UnsupportedMediaType, TooLarge, or InvalidHeader."""
    key = idempotency_key(request)
    services = await services_of(request)
    body = await read_body(request, services.settings.api.max_body_bytes)
    return Submission(body, Idempotency(key, hashlib.sha256(body).digest()) if key else None)


async def raw_submission(request: Request, query: bytes) -> RawSubmission:
    """Read a mail and its idempotency key; `query` holds its envelope.

    Raises UnsupportedMediaType, TooLarge, or InvalidHeader.
    """
    key = idempotency_key(request)
    services = await services_of(request)
    body = await read_body(request, services.settings.api.max_message_bytes, MAIL)

    def digest() -> bytes:
        # No query holds a line end, so that nothing can move from one to the other.
        return hashlib.sha256(b"".join([b"raw?", query, b"\n", body])).digest()

    idempotency = Idempotency(key, await _beside_the_loop_if_large(digest, body)) if key else None
    return RawSubmission(body, query, idempotency)


def sent(form: type[Model]) -> Callable[[Request], Coroutine[object, object, Model]]:
    """Return what reads a body of this form: a dependency of the routes that take one."""

    async def read(request: Request) -> Model:
        services = await services_of(request)
        body = await read_body(request, services.settings.api.max_body_bytes)
        return await _beside_the_loop_if_large(lambda: read_form(form, body), body)

    return read


async def _beside_the_loop_if_large(work: Callable[[], Result], body: bytes) -> Result:
    return await asyncio.to_thread(work) if len(body) > THREAD_ABOVE_BYTES else work()


Parts: TypeAlias = Annotated[Services, Depends(services_of)]
Reader: TypeAlias = Annotated[Caller, Security(_bearer, scopes=[Scope.READ])]
Manager: TypeAlias = Annotated[Caller, Security(_bearer, scopes=[Scope.MANAGE])]
MessagePath: TypeAlias = Annotated[MessageId, Path(pattern=MESSAGE_PATTERN)]
EndpointPath: TypeAlias = Annotated[EndpointId, Path(pattern=r"^end_[0-9a-f]{32}$")]
