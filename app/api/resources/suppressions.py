"""Suppressions: the addresses that get no more mail of a stream."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.api.answers.suppressions import ImportOut, SuppressionList, SuppressionOut, SuppressionPage
from app.api.body import read_pieces
from app.api.deps import Manager, Parts, Reader, sent
from app.api.document import body_of, lines_of, lines_out, problems
from app.api.problems import InvalidParameter
from app.api.resources.exports import MEDIA_TYPES, export_lines
from app.api.resources.forms import (
    ExportQuery,
    ListingQuery,
    StreamQuery,
    SuppressionLine,
    SuppressionRequest,
    streams,
)
from app.api.resources.imports import LineReader, form_of, import_lines
from app.errors import NotFound
from app.mail.address import AddressError, parse_address
from app.messages import Stream
from app.projects.suppressions import Added, Entry, Place, Wanted

router = APIRouter(prefix="/suppressions", tags=["suppressions"])


@router.post(
    "",
    operation_id="add_suppressions",
    summary="Suppress addresses",
    response_description="The entries, as they stand now.",
    responses=problems("create"),
    openapi_extra=body_of(SuppressionRequest),
)
async def add_suppressions(
    caller: Manager,
    wanted: Annotated[SuppressionRequest, Depends(sent(SuppressionRequest))],
    parts: Parts,
) -> SuppressionList:
    """Send these addresses no more mail, not even what waits. What is suppressed already stays as it is."""
    parts.health.require_room()
    added = await parts.suppressions.add(caller.project, wanted.entries(datetime.now(UTC)))
    return SuppressionList(data=[SuppressionOut.of(each.entry) for each in added])


@router.get(
    "",
    operation_id="list_suppressions",
    summary="List suppressed addresses",
    response_description="A page of entries.",
    responses=problems("search"),
)
async def list_suppressions(
    caller: Reader, query: Annotated[ListingQuery, Query()], parts: Parts
) -> SuppressionPage:
    """Return the entries page by page, in the order of streams and addresses."""
    wanted = Wanted(streams(query.stream), query.reason)
    after = _place(query.cursor) if query.cursor else None
    page = await parts.suppressions.page(caller.project, wanted, after, query.limit)
    entries = [SuppressionOut.of(entry) for entry in page.entries]
    return SuppressionPage(data=entries, next_cursor=_cursor(page.last) if page.last else None)


@router.post(
    "/import",
    operation_id="import_suppressions",
    summary="Import suppressed addresses",
    response_description="What became of the lines.",
    responses=problems("import"),
    openapi_extra=lines_of(SuppressionLine),
)
async def import_suppressions(
    caller: Manager, query: Annotated[StreamQuery, Query()], parts: Parts, request: Request
) -> ImportOut:
    """Add up to 100,000 lines of NDJSON or CSV. Bad lines are refused by number; the others are imported."""
    reader = LineReader(
        form_of(request.headers.get("content-type", "")), streams(query.stream), datetime.now(UTC)
    )

    async def add(entries: Sequence[Entry]) -> tuple[Added, ...]:
        parts.health.require_room()
        return await parts.suppressions.add(caller.project, entries)

    body = read_pieces(request, parts.settings.api.max_body_bytes)
    return await import_lines(body, reader, add)


@router.get(
    "/export",
    operation_id="export_suppressions",
    summary="Export suppressed addresses",
    response_description="All entries, one in each line.",
    responses=problems("search", lines_out()),
    response_class=StreamingResponse,
)
async def export_suppressions(
    caller: Reader, query: Annotated[ExportQuery, Query()], parts: Parts
) -> StreamingResponse:
    """Return all entries as lines of NDJSON or CSV, which can be imported again."""
    wanted = Wanted(streams(query.stream), query.reason)
    lines = export_lines(parts.suppressions.all(caller.project, wanted), query.format)
    # The first lines before the answer begins, so that a store that is away can still be told.
    first = await anext(lines)
    return StreamingResponse(_joined(first, lines), media_type=MEDIA_TYPES[query.format])


async def _joined(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for each in others:
        yield each


@router.get(
    # An address may hold slashes.
    "/{address:path}",
    operation_id="get_suppression",
    summary="Is an address suppressed?",
    response_description="Its entries, one for each stream.",
    responses=problems("read"),
)
async def get_suppression(caller: Reader, address: str, parts: Parts) -> SuppressionList:
    """Return why and since when an address gets no mail, for each stream."""
    entries = await parts.suppressions.of(caller.project, _address(address))
    return SuppressionList(data=[SuppressionOut.of(entry) for entry in entries])


@router.delete(
    "/{address:path}",
    operation_id="remove_suppression",
    summary="Send to an address again",
    response_description="It is suppressed no more.",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses=problems("delete_suppression"),
)
async def remove_suppression(
    caller: Manager, address: str, query: Annotated[StreamQuery, Query()], parts: Parts
) -> None:
    """Take an address off the list of a stream, or of both. Mail that was suppressed is not sent after all."""
    await parts.suppressions.remove(caller.project, _address(address), streams(query.stream))


def _address(text: str) -> str:
    try:
        return str(parse_address(text))
    except AddressError as error:
        raise NotFound(error.reason) from error


def _cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(f"{place.stream}/{place.address}".encode()).decode().rstrip("=")


def _place(cursor: str) -> Place:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        stream, _, address = base64.b64decode(padded, b"-_", validate=True).decode().partition("/")
        return Place(Stream(stream), address)
    except ValueError as error:
        raise InvalidParameter("cursor: give it as `next_cursor` came") from error
