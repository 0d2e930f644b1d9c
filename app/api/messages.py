"""Messages: send one, and ask what became of it."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Response

from app.api.answers import Accepted, AttemptList, EventList, MessageOut
from app.api.deps import MessagePath, Parts, Reader, Sender, SentMessage
from app.api.document import body_of, problems, replayed_header
from app.api.requests import MessageRequest

router = APIRouter(prefix="/messages", tags=["messages"])


@router.post(
    "",
    operation_id="send_message",
    summary="Send a message",
    response_description="The message is on disk.",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems("send", replayed_header()),
    openapi_extra=body_of(MessageRequest),
)
async def send_message(
    caller: Sender, sent: SentMessage, parts: Parts, response: Response
) -> Accepted:
    """Accept a message: when this answers 202, the message is on disk and will be delivered or reported."""
    receipt = await parts.acceptor.accept(sent.draft, caller, sent.idempotency)
    response.headers.update({"Idempotent-Replayed": "true"} if receipt.replayed else {})
    return Accepted.of(receipt)


@router.get(
    "/{message_id}",
    operation_id="get_message",
    summary="Get a message",
    response_description="The message.",
    responses=problems("read"),
)
async def get_message(caller: Reader, message_id: MessagePath, parts: Parts) -> MessageOut:
    """Return a message and where each of its recipients stands."""
    return MessageOut.of(await parts.store.view(caller.project, message_id))


@router.get(
    "/{message_id}/events",
    operation_id="list_message_events",
    summary="List the events of a message",
    response_description="The events.",
    response_model_exclude_unset=True,
    responses=problems("read"),
)
async def list_events(caller: Reader, message_id: MessagePath, parts: Parts) -> EventList:
    """Return what happened to a message, oldest first: the same events that webhooks carry."""
    return EventList.of(await parts.store.events(caller.project, message_id))


@router.get(
    "/{message_id}/attempts",
    operation_id="list_message_attempts",
    summary="List the attempts of a message",
    response_description="The attempts.",
    responses=problems("read"),
)
async def list_attempts(caller: Reader, message_id: MessagePath, parts: Parts) -> AttemptList:
    """Return every try with its SMTP dialogue, oldest first."""
    return AttemptList.of(await parts.store.attempts(caller.project, message_id))
