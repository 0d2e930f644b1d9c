"""Domains: the names that a project sends from, what they have to publish, and whether they do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import PlainTextResponse

from app.api.answers.domains import DomainList, DomainOut
from app.api.body import JSON
from app.api.deps import Manager, Parts, Reader, Services, sent
from app.api.document import Responses, body_of, problems
from app.api.identity.domainforms import DomainPath, DomainRequest
from app.errors import FieldError, InvalidRequest
from app.identity.domain import Domain
from app.identity.names import NameRefused
from app.identity.records import zone_of

router = APIRouter(prefix="/domains", tags=["domains"])


_GOES_ON: Responses = {
    HTTPStatus.ACCEPTED.value: {
        "description": "The check goes on: the domain as it was before it.",
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/DomainOut"}}},
    }
}
_MARGIN = timedelta(seconds=2)
"""How much longer than a check takes its answer is waited for."""


@router.post(
    "",
    operation_id="create_domain",
    summary="Add a domain",
    response_description="The domain, with the records to publish.",
    status_code=HTTPStatus.CREATED,
    responses=problems("create_domain"),
    openapi_extra=body_of(DomainRequest),
)
async def create_domain(
    caller: Manager,
    wanted: Annotated[DomainRequest, Depends(sent(DomainRequest))],
    parts: Parts,
    response: Response,
) -> DomainOut:
    """Make keys for a domain, and say which DNS records its owner has to publish."""
    parts.health.require_room()
    try:
        return_path = wanted.return_path_name(parts.settings.domains.return_path)
    except NameRefused as error:
        refused = FieldError("/return_path", "invalid_domain", error.reason)
        raise InvalidRequest((refused,)) from error
    domain = await parts.domains.create(caller.project, wanted.name, return_path)
    response.headers["Location"] = f"/domains/{domain.name}"
    return await _shown(domain, parts)


@router.get(
    "",
    operation_id="list_domains",
    summary="List domains",
    response_description="The domains.",
    responses=problems("list"),
)
async def list_domains(caller: Reader, parts: Parts) -> DomainList:
    """Return the domains of the project by name, without their records."""
    return DomainList.of(await parts.domains.all(caller.project))


@router.get(
    "/{domain_name}",
    operation_id="get_domain",
    summary="Get a domain",
    response_description="The domain.",
    responses=problems("read"),
)
async def get_domain(caller: Reader, name: DomainPath, parts: Parts) -> DomainOut:
    """Return a domain, the records that it has to publish, and what was found of each at the last check."""
    return await _shown(await parts.domains.one(caller.project, name), parts)


@router.get(
    "/{domain_name}/zone",
    operation_id="get_domain_zone",
    summary="Get the records of a domain for a zone file",
    response_description="Lines of a zone file (RFC 1035).",
    response_class=PlainTextResponse,
    responses=problems("read"),
)
async def get_domain_zone(caller: Reader, name: DomainPath, parts: Parts) -> PlainTextResponse:
    """Return all records that the domain has to publish as text to paste into its zone file."""
    domain = await parts.domains.one(caller.project, name)
    return PlainTextResponse(zone_of(domain.name, await parts.domains.records(domain)))


@router.post(
    "/{domain_name}/verify",
    operation_id="verify_domain",
    summary="Verify a domain",
    response_description="The domain, as it was found.",
    responses=problems("verify", _GOES_ON),
)
async def verify_domain(
    caller: Manager, name: DomainPath, parts: Parts, response: Response
) -> DomainOut:
    """Look the records up at the domain's own name servers now, and wait some seconds for what they say.

    202 says that this goes on: get the domain after a while.
    """
    domain = await parts.domains.one(caller.project, name)
    if not _was_just_checked(domain, parts):
        patience = parts.settings.domains.budget + _MARGIN
        # Should the question be lost on its way, the clock asks it again.
        await parts.domains.hasten(domain, patience)
        answer = await parts.inquiries.ask("domain", domain.project, domain.name, patience=patience)
        response.status_code = HTTPStatus.OK if answer else HTTPStatus.ACCEPTED
        domain = await parts.domains.one(caller.project, name)
    return await _shown(domain, parts)


@router.delete(
    "/{domain_name}",
    operation_id="delete_domain",
    summary="Delete a domain",
    response_description="It is gone.",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses=problems("read"),
)
async def delete_domain(caller: Manager, name: DomainPath, parts: Parts) -> None:
    """Destroy the keys of a domain; mail from it that waits is not sent any more."""
    await parts.domains.delete(caller.project, name)


def _was_just_checked(domain: Domain, parts: Services) -> bool:
    """Tell whether asking again would only ask the same servers for the same: nobody shall be flooded by us."""
    checked = domain.checked_at
    return bool(checked and datetime.now(UTC) - checked < parts.settings.domains.pause)


async def _shown(domain: Domain, parts: Services) -> DomainOut:
    return DomainOut.of(domain, await parts.domains.records(domain))
