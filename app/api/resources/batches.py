"""Batches: send many messages with one request."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from app.api.answers.batches import BatchProblemOut, BatchResults, answer_of, broken_off
from app.api.body import JSON, check_media_type, read_pieces
from app.api.deps import Direct, idempotency_key, identify, services_of
from app.api.document import problems, sent_by
from app.api.rehearsing import refuse_dry_run
from app.api.sending.batches import BatchRequest
from app.api.sending.groups import Batch, Sender
from app.api.sending.splitting import Splitter
from app.errors import PillarboxError
from app.projects.keys import Scope

router = APIRouter(prefix="/messages", tags=["messages"], route_class=Direct)

_MEMBERS = ("attachments", "messages")


@router.post(
    "/batch",
    operation_id="send_batch",
    summary="Send many messages",
    response_description="The batch was read to its end; each result says what became of that message.",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems("send", answer=BatchProblemOut),
    response_model=BatchResults,
    openapi_extra=sent_by(Scope.SEND, BatchRequest),
)
async def send_batch(request: Request) -> Response:
    """Accept messages one by one: each accepted one is on disk, and a bad one does not keep the others back.

    Messages are accepted while the body is still coming. A repetition with the same Idempotency-Key sends
    those that were not accepted before.
    """
    parts, caller = await services_of(request), await identify(request, Scope.SEND)
    refuse_dry_run(request)
    sender = Sender(parts.acceptor, caller, idempotency_key(request))
    batch = Batch(sender, parts.settings.api, request.scope["let_go"])
    try:
        splitter = Splitter(_MEMBERS)
        check_media_type(request, JSON)
        async for piece in read_pieces(request, parts.settings.api.max_batch_bytes):
            for item in splitter.feed(piece):
                await batch.take(item)
        splitter.end()
        await batch.end()
    except PillarboxError as error:
        return broken_off(error, batch.results)
    return answer_of(batch.results)
