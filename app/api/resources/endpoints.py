"""Endpoints: the URLs that are told of events."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from app.api.answers.endpoints import CreatedEndpoint, EndpointList, EndpointOut
from app.api.deps import EndpointPath, Manager, Parts, sent
from app.api.document import body_of, problems
from app.api.resources.forms import EndpointRequest

router = APIRouter(prefix="/endpoints", tags=["endpoints"])


@router.post(
    "",
    operation_id="create_endpoint",
    summary="Create a webhook endpoint",
    response_description="The endpoint, with its secret.",
    status_code=HTTPStatus.CREATED,
    responses=problems("create"),
    openapi_extra=body_of(EndpointRequest),
)
async def create_endpoint(
    caller: Manager,
    wanted: Annotated[EndpointRequest, Depends(sent(EndpointRequest))],
    parts: Parts,
    response: Response,
) -> CreatedEndpoint:
    """Tell a URL of events from now on. The answer holds the signing secret, this once."""
    endpoint = await parts.endpoints.create(
        caller.project, wanted.url, wanted.events, wanted.description
    )
    response.headers["Location"] = f"/endpoints/{endpoint.id}"
    return CreatedEndpoint.of(endpoint)


@router.get(
    "",
    operation_id="list_endpoints",
    summary="List the webhook endpoints",
    response_description="The endpoints.",
    responses=problems("list"),
)
async def list_endpoints(caller: Manager, parts: Parts) -> EndpointList:
    """Return all endpoints of the project, oldest first, without their secrets."""
    return EndpointList.of(await parts.endpoints.all(caller.project))


@router.get(
    "/{endpoint_id}",
    operation_id="get_endpoint",
    summary="Get a webhook endpoint",
    response_description="The endpoint.",
    responses=problems("read"),
)
async def get_endpoint(caller: Manager, endpoint_id: EndpointPath, parts: Parts) -> EndpointOut:
    """Return one endpoint, without its secret."""
    return EndpointOut.of(await parts.endpoints.one(caller.project, endpoint_id))


@router.delete(
    "/{endpoint_id}",
    operation_id="delete_endpoint",
    summary="Delete a webhook endpoint",
    response_description="It is gone.",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses=problems("read"),
)
async def delete_endpoint(caller: Manager, endpoint_id: EndpointPath, parts: Parts) -> None:
    """Stop telling a URL of events; those that wait for it are dropped."""
    await parts.endpoints.delete(caller.project, endpoint_id)
