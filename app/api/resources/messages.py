"""Messages: send one, and ask what became of it."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from app.api.answers.dryruns import DryRunOut
from app.api.answers.history import AttemptList, EventList
from app.api.answers.messages import Accepted, MessageOut
from app.api.body import JSON
from app.api.deps import (
    Direct,
    MessagePath,
    Parts,
    RawSubmission,
    Reader,
    Submission,
    identify,
    raw_submission,
    services_of,
    submission,
)
from app.api.document import mailed_by, problems, replayed_header, sent_by
from app.api.rehearsing import asked, asked_alone, rehearsable, rehearsed
from app.api.sending.envelope import EnvelopeForm
from app.api.sending.requests import MessageRequest
from app.errors import InvalidRequest, TooLarge
from app.messages import Receipt
from app.projects.keys import Caller, Scope

router = APIRouter(prefix="/messages", tags=["messages"])
sending = APIRouter(prefix="/messages", tags=["messages"], route_class=Direct)


@sending.post(
    "",
    operation_id="send_message",
    summary="Send a message",
    response_description="The message is on disk.",
    status_code=HTTPStatus.ACCEPTED,
    responses=rehearsed(problems("send", replayed_header())),
    response_model=Accepted,
    openapi_extra=rehearsable(sent_by(Scope.SEND, MessageRequest)),
)
async def send_message(request: Request) -> Response:
    """Accept a message: when this answers 202, the message is on disk and will be delivered or reported."""
    caller = await identify(request, Scope.SEND)
    if asked_alone(request):
        return await _rehearse(request, caller, await submission(request))
    return await _accept(request, caller, await submission(request))


@sending.post(
    "/raw",
    operation_id="send_raw_message",
    summary="Send a finished message",
    response_description="The message is on disk.",
    status_code=HTTPStatus.ACCEPTED,
    responses=rehearsed(problems("send_raw", replayed_header())),
    response_model=Accepted,
    openapi_extra=rehearsable(mailed_by(Scope.SEND, EnvelopeForm)),
)
async def send_raw_message(request: Request) -> Response:
    """Accept a finished mail (RFC 5322) for the recipients that the query names.

    It is completed (Date, Message-ID), freed of Bcc and Return-Path, and signed; its line ends become CRLF.
    Everything else stays byte for byte as it came.
    """
    caller, wanted = await identify(request, Scope.SEND), asked(request)
    sent = await raw_submission(request, wanted.rest)
    if wanted.is_dry:
        return await _rehearse(request, caller, sent)
    return await _accept(request, caller, sent)


async def _rehearse(request: Request, caller: Caller, sent: Submission | RawSubmission) -> Response:
    """Do everything but send: also what was accepted before is looked at as it would be now."""
    parts = await services_of(request)
    run = await parts.rehearsal.run(await sent.draft(parts.settings), caller)
    # A mail may have megabytes.
    text = await asyncio.to_thread(lambda: DryRunOut.of(run).model_dump_json(by_alias=True))
    return Response(text, HTTPStatus.OK, None, JSON)


async def _accept(request: Request, caller: Caller, sent: Submission | RawSubmission) -> Response:
    parts = await services_of(request)
    try:
        draft = await sent.draft(parts.settings)
        receipt = await parts.acceptor.accept(draft, caller, sent.idempotency)
    except (InvalidRequest, TooLarge):
        # What was accepted once stays accepted, also when its time or our settings have changed since.
        first = await parts.store.first_receipt(caller.project, sent.idempotency)
        if first is None:
            raise
        receipt = first
    return _accepted(receipt)


def _accepted(receipt: Receipt) -> Response:
    headers = {"Idempotent-Replayed": "true"} if receipt.replayed else None
    text = Accepted.of(receipt).model_dump_json()
    return Response(text, HTTPStatus.ACCEPTED, headers, "application/json")


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
