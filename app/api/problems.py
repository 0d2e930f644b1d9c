"""Errors as clients see them: problem details (RFC 9457), each with a stable `code`.

Domain errors know a code; this is the one table that gives each its HTTP status and title.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

import orjson
from fastapi import Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.errors import (
    FieldError,
    InvalidRequest,
    NotFound,
    PillarboxError,
    SpoolError,
    SpoolUnavailable,
)

MEDIA_TYPE = "application/problem+json"


class MalformedJson(PillarboxError):
    """The body is not JSON, or not JSON that every reader understands alike."""

    code = "malformed_json"


class UnsupportedMediaType(PillarboxError):
    """The body comes in a form that is not taken."""

    code = "unsupported_media_type"


class InvalidHeader(PillarboxError):
    """A header of the request cannot be used."""

    code = "invalid_header"


class InvalidParameter(PillarboxError):
    """A parameter of the query cannot be used."""

    code = "invalid_parameter"


class MethodNotAllowed(PillarboxError):
    """The path exists, but not with this method."""

    code = "method_not_allowed"


class Crowded(PillarboxError):
    """As many large bodies are being read as there is memory for."""

    code = "crowded"


class NotReady(PillarboxError):
    """Mail cannot be taken and kept now; `reasons` say why."""

    code = "not_ready"

    def __init__(self, reasons: Sequence[str]) -> None:
        """Keep the reasons, in the order they were found."""
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


@dataclass(frozen=True, slots=True)
class Kind:
    """What all problems of one code have in common."""

    status: HTTPStatus
    title: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "malformed_json": Kind(HTTPStatus.BAD_REQUEST, "The body is not usable JSON"),
        "invalid_header": Kind(HTTPStatus.BAD_REQUEST, "A request header cannot be used"),
        "invalid_parameter": Kind(HTTPStatus.BAD_REQUEST, "A query parameter cannot be used"),
        "unauthenticated": Kind(HTTPStatus.UNAUTHORIZED, "A valid API key is needed"),
        "forbidden": Kind(HTTPStatus.FORBIDDEN, "The API key may not do this"),
        "not_found": Kind(HTTPStatus.NOT_FOUND, "There is no such thing here"),
        "method_not_allowed": Kind(HTTPStatus.METHOD_NOT_ALLOWED, "This path has no such method"),
        "idempotency_conflict": Kind(
            HTTPStatus.CONFLICT, "The idempotency key was used for another request"
        ),
        "too_large": Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large"),
        "unsupported_media_type": Kind(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body's form is not taken"
        ),
        "invalid_request": Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "Some fields cannot be accepted"),
        "error": Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong on our side"),
        "configuration": Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong on our side"),
        "spool_unavailable": Kind(HTTPStatus.SERVICE_UNAVAILABLE, "The message store is away"),
        "spool_full": Kind(
            HTTPStatus.SERVICE_UNAVAILABLE, "The message store takes no more for now"
        ),
        "crowded": Kind(HTTPStatus.SERVICE_UNAVAILABLE, "Too much to do at once"),
        "vault_closed": Kind(HTTPStatus.SERVICE_UNAVAILABLE, "Keys cannot be kept or read"),
        "not_ready": Kind(HTTPStatus.SERVICE_UNAVAILABLE, "Not ready to take mail"),
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, before it becomes an answer."""

    code: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    reasons: tuple[str, ...] = ()
    instance: str | None = None


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return the problem as an HTTP answer."""
    return _response(_content(problem), headers)


def answer_with(error: PillarboxError, more: Mapping[str, object]) -> Response:
    """Return an error of the domain as an HTTP answer, with `more` members. Raises those that are ours."""
    kind = KINDS[error.code]
    if kind.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error  # for the log; its detail is for operators, not for callers
    return _response({**content_of(error), **more}, _headers(error, kind.status))


def content_of(error: PillarboxError) -> dict[str, object]:
    """Return the members of the problem that an error of the domain is."""
    return _content(
        Problem(
            code=error.code,
            detail=_detail(error),
            errors=error.fields if isinstance(error, InvalidRequest) else (),
            reasons=error.reasons if isinstance(error, NotReady) else (),
        )
    )


def _response(content: Mapping[str, object], headers: Mapping[str, str] | None) -> Response:
    status = KINDS[str(content["code"])].status
    return Response(orjson.dumps(content), status, dict(headers or {}), MEDIA_TYPE)


def _content(problem: Problem) -> dict[str, object]:
    kind = KINDS[problem.code]
    content: dict[str, object] = {
        "type": f"urn:pillarbox:problem:{problem.code}",
        "title": kind.title,
        "status": kind.status.value,
        "code": problem.code,
        "detail": problem.detail,
    }
    extras = {"errors": problem.errors, "reasons": problem.reasons, "instance": problem.instance}
    return content | {name: value for name, value in extras.items() if value}


async def on_domain_error(_request: Request, error: Exception) -> Response:
    """Answer an error that the domain raised on purpose."""
    if not isinstance(error, PillarboxError):
        raise error
    return answer_with(error, {})


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the router refuses: paths and methods that do not exist."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"use one of the methods that the header Allow names instead of {request.method}"
        return answer(Problem(MethodNotAllowed.code, detail), error.headers)
    if error.detail == HTTPStatus.NOT_FOUND.phrase:
        return answer(Problem(NotFound.code, "there is nothing at this path"))
    # Of a page for people, which answers in its own form.
    return await http_exception_handler(request, error)


async def on_parameter_error(request: Request, error: Exception) -> Response:
    """Answer parameters of path and headers that do not have their form: ids that cannot exist, bad
    headers and queries."""
    if not isinstance(error, RequestValidationError):
        raise error
    where, name = error.errors()[0]["loc"][:2]
    if where == "path":
        return await on_domain_error(
            request, NotFound("there is nothing with this id in this project")
        )
    detail = f"{name}: {error.errors()[0]['msg']}"
    kind = InvalidParameter if where == "query" else InvalidHeader
    return await on_domain_error(request, kind(detail))


def unexpected() -> tuple[str, Response]:
    """Return the answer to a fault of ours, and the name under which the log has the details."""
    instance = uuid.uuid4().urn
    detail = "the fault is logged; nothing was stored unless an earlier answer said so"
    return instance, answer(Problem("error", detail, instance=instance))


def _detail(error: PillarboxError) -> str:
    # What Redis said (addresses, commands) is in the log of the process and in /readyz, not for callers.
    if isinstance(error, SpoolUnavailable):
        # The request may have arrived there, and only its answer be lost.
        return (
            f"whether this was done is not known; repeat it in {error.retry_after_s} seconds, "
            "with the Idempotency-Key that it had"
        )
    if isinstance(error, SpoolError):
        return f"nothing was stored; try again in {error.retry_after_s} seconds"
    if isinstance(error, InvalidRequest) and len(error.fields) > 1:
        return f"{len(error.fields)} fields cannot be accepted; `errors` names each"
    return error.detail


def _headers(error: PillarboxError, status: HTTPStatus) -> dict[str, str]:
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer realm="pillarbox"'}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        wait = error.retry_after_s if isinstance(error, SpoolError) else SpoolError.retry_after_s
        return {"Retry-After": str(wait)}
    return {}
