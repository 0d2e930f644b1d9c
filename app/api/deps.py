"""What routes ask for: the parts that the process was built with, the caller, and the checked body."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, TypeAlias, TypeVar

from fastapi import Depends, Header, Path, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from pydantic import BaseModel, ValidationError

from app.accept import Acceptor
from app.api.body import THREAD_ABOVE_BYTES, parse_json, read_body
from app.api.pointers import field_errors
from app.api.requests import EndpointRequest, MessageRequest
from app.errors import InvalidRequest
from app.ids import EndpointId, MessageId
from app.messages import Draft
from app.projects.endpoints import Endpoints
from app.projects.keys import Caller, Doorman, Scope
from app.settings import Settings
from app.spool.health import Health
from app.spool.store import Idempotency, Store

Model = TypeVar("Model", bound=BaseModel)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes work with; built once, when the process starts."""

    settings: Settings
    acceptor: Acceptor
    store: Store
    endpoints: Endpoints
    doorman: Doorman
    health: Health


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


class BearerKey(SecurityBase):
    """Asks for an API key with the scope that the route names, and says so in the OpenAPI."""

    model = HTTPBearer(description="An API key: `Authorization: Bearer pb_…`")
    scheme_name = "api_key"

    async def __call__(self, request: Request, wanted: SecurityScopes) -> Caller:
        """Return the caller. Raises Unauthenticated, Forbidden, or SpoolError."""
        services = await _services(request)
        caller = await services.doorman.identify(request.headers.get("authorization"))
        for scope in wanted.scopes:
            caller.require(Scope(scope))
        return caller


_bearer = BearerKey()


@dataclass(frozen=True, slots=True)
class Submission:
    """A checked request to send, with the key that makes a repetition of it safe."""

    draft: Draft
    idempotency: Idempotency | None


async def _submission(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=r"^[!-~]{1,256}$",
            description=(
                "Makes a repetition safe: with the same key and body, the first answer is given again "
                "for 24 hours, and nothing is sent twice."
            ),
        ),
    ] = None,
) -> Submission:
    services = await _services(request)
    body = await read_body(request, services.settings.api.max_body_bytes)

    def read() -> Submission:
        form = _parsed(MessageRequest, body)
        draft = form.to_draft(datetime.now(UTC), services.settings)
        return Submission(draft, _idempotency(idempotency_key, body))

    return await _beside_the_loop_if_large(read, body)


async def _endpoint_request(request: Request) -> EndpointRequest:
    services = await _services(request)
    body = await read_body(request, services.settings.api.max_body_bytes)
    return await _beside_the_loop_if_large(lambda: _parsed(EndpointRequest, body), body)


async def _beside_the_loop_if_large(work: Callable[[], Result], body: bytes) -> Result:
    return await asyncio.to_thread(work) if len(body) > THREAD_ABOVE_BYTES else work()


def _parsed(form: type[Model], body: bytes) -> Model:
    document = parse_json(body)
    try:
        return form.model_validate(document)
    except ValidationError as error:
        raise InvalidRequest(field_errors(error, document)) from error


def _idempotency(key: str | None, body: bytes) -> Idempotency | None:
    return Idempotency(key, hashlib.sha256(body).digest()) if key else None


Parts: TypeAlias = Annotated[Services, Depends(_services)]
Sender: TypeAlias = Annotated[Caller, Security(_bearer, scopes=[Scope.SEND])]
Reader: TypeAlias = Annotated[Caller, Security(_bearer, scopes=[Scope.READ])]
Manager: TypeAlias = Annotated[Caller, Security(_bearer, scopes=[Scope.MANAGE])]
SentMessage: TypeAlias = Annotated[Submission, Depends(_submission)]
SentEndpoint: TypeAlias = Annotated[EndpointRequest, Depends(_endpoint_request)]
MessagePath: TypeAlias = Annotated[MessageId, Path(pattern=r"^msg_[0-9a-f]{32}$")]
EndpointPath: TypeAlias = Annotated[EndpointId, Path(pattern=r"^end_[0-9a-f]{32}$")]
