"""Templates: what mails say, kept in versions, to be looked at and to be sent by name."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from app.api.answers.templates import (
    PreviewOut,
    TemplateOut,
    TemplatePage,
    TemplateSummary,
    TemplateVersion,
)
from app.api.deps import Manager, Parts, Reader, sent
from app.api.document import body_of, problems
from app.api.resources.templateforms import (
    CurrentRequest,
    PreviewRequest,
    TemplateQuery,
    TemplateRequest,
    UnsavedRequest,
    VersionRequest,
)
from app.letters.values import pack
from app.projects.templates import NAME_PATTERN

router = APIRouter(prefix="/templates", tags=["templates"])

_Name = Annotated[str, Path(alias="template_name", pattern=NAME_PATTERN)]
_Number = Annotated[int, Path(alias="version", ge=1, le=1_000_000_000)]


@router.post(
    "",
    operation_id="create_template",
    summary="Create a template",
    response_description="Its first version.",
    status_code=HTTPStatus.CREATED,
    responses=problems("create"),
    openapi_extra=body_of(TemplateRequest),
)
async def create_template(
    caller: Manager,
    wanted: Annotated[TemplateRequest, Depends(sent(TemplateRequest))],
    parts: Parts,
    response: Response,
) -> TemplateVersion:
    """Save a template under a name. It is checked whole: what cannot be filled is refused with its line."""
    parts.health.require_room()
    version = await parts.author.version(wanted.wording(), caller.project, datetime.now(UTC))
    head = await parts.templates.create(caller.project, wanted.name, version)
    response.headers["Location"] = f"/templates/{head.name}"
    return TemplateVersion.of(head.name, head.last, version)


@router.get(
    "",
    operation_id="list_templates",
    summary="List templates",
    response_description="A page of templates.",
    responses=problems("search"),
)
async def list_templates(
    caller: Reader, query: Annotated[TemplateQuery, Query()], parts: Parts
) -> TemplatePage:
    """Return the templates of the project page by page, by name, without what they say."""
    page = await parts.templates.page(caller.project, query.cursor or "", query.limit)
    return TemplatePage.of(page)


@router.post(
    "/preview",
    operation_id="preview_unsaved_template",
    summary="Look at a template before it is saved",
    response_description="The mail.",
    responses=problems("preview_unsaved"),
    openapi_extra=body_of(UnsavedRequest),
)
async def preview_unsaved_template(
    caller: Reader, wanted: Annotated[UnsavedRequest, Depends(sent(UnsavedRequest))], parts: Parts
) -> PreviewOut:
    """Fill what is sent along with values, as sending it would. Nothing is sent or stored."""
    variables = pack(wanted.variables)
    version = await parts.author.version(wanted.wording(), caller.project, datetime.now(UTC))
    return PreviewOut.of(parts.author.preview(version, variables))


@router.get(
    "/{template_name}",
    operation_id="get_template",
    summary="Get a template",
    response_description="The template.",
    responses=problems("read"),
)
async def get_template(caller: Reader, name: _Name, parts: Parts) -> TemplateOut:
    """Return a template and the numbers of its versions."""
    head = await parts.templates.head(caller.project, name)
    return TemplateOut.among(head, await parts.templates.numbers(caller.project, name))


@router.delete(
    "/{template_name}",
    operation_id="delete_template",
    summary="Delete a template",
    response_description="It is gone.",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses=problems("read"),
)
async def delete_template(caller: Manager, name: _Name, parts: Parts) -> None:
    """Remove a template with all its versions. Mail that was accepted before is sent all the same."""
    await parts.templates.remove(caller.project, name)


@router.post(
    "/{template_name}/versions",
    operation_id="add_template_version",
    summary="Add a version of a template",
    response_description="The new version.",
    status_code=HTTPStatus.CREATED,
    responses=problems("change"),
    openapi_extra=body_of(VersionRequest),
)
async def add_template_version(
    caller: Manager,
    name: _Name,
    wanted: Annotated[VersionRequest, Depends(sent(VersionRequest))],
    parts: Parts,
) -> TemplateVersion:
    """Save one more version, and send it from now on unless the request says otherwise."""
    parts.health.require_room()
    await parts.templates.head(caller.project, name)
    version = await parts.author.version(wanted.wording(), caller.project, datetime.now(UTC))
    number = await parts.templates.add(
        caller.project, name, version, is_current=wanted.make_current
    )
    return TemplateVersion.of(name, number, version)


@router.get(
    "/{template_name}/versions/{version}",
    operation_id="get_template_version",
    summary="Get a version of a template",
    response_description="The version.",
    responses=problems("read"),
)
async def get_template_version(
    caller: Reader, name: _Name, number: _Number, parts: Parts
) -> TemplateVersion:
    """Return what one version says, as it was written and as it is sent."""
    version = await parts.templates.version(caller.project, name, number)
    return TemplateVersion.of(name, number, version)


@router.delete(
    "/{template_name}/versions/{version}",
    operation_id="delete_template_version",
    summary="Delete a version of a template",
    response_description="It is gone.",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses=problems("delete_version"),
)
async def delete_template_version(
    caller: Manager, name: _Name, number: _Number, parts: Parts
) -> None:
    """Remove a version that is not the current one; its number is not used again."""
    await parts.templates.remove(caller.project, name, number)


@router.post(
    "/{template_name}/current",
    operation_id="choose_template_version",
    summary="Choose the version that is sent",
    response_description="The template.",
    responses=problems("change"),
    openapi_extra=body_of(CurrentRequest),
)
async def choose_template_version(
    caller: Manager,
    name: _Name,
    wanted: Annotated[CurrentRequest, Depends(sent(CurrentRequest))],
    parts: Parts,
) -> TemplateSummary:
    """Send this version from now on where a message names none: to go back, or to take what was tried."""
    await parts.templates.choose(caller.project, name, wanted.version)
    return TemplateSummary.of(await parts.templates.head(caller.project, name))


@router.post(
    "/{template_name}/preview",
    operation_id="preview_template",
    summary="Look at a template",
    response_description="The mail.",
    responses=problems("preview"),
    openapi_extra=body_of(PreviewRequest),
)
async def preview_template(
    caller: Reader,
    name: _Name,
    wanted: Annotated[PreviewRequest, Depends(sent(PreviewRequest))],
    parts: Parts,
) -> PreviewOut:
    """Fill a template with values, as sending it would. Nothing is sent or stored."""
    head = await parts.templates.head(caller.project, name)
    number = wanted.version or head.current
    version = await parts.templates.version(caller.project, name, number)
    return PreviewOut.of(parts.author.preview(version, pack(wanted.variables)))
