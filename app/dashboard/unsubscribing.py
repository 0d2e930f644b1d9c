"""The pages behind the links to unsubscribe: one asks, one says that it is done. No key is needed but the link.

Mail programs post to the link by themselves (RFC 8058 §3.2) and look at the status alone. Whoever only opens it (a
person, a scanner of links) changes nothing before the button is pressed.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from hashlib import sha256
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from app.api.body import read_pieces
from app.api.deps import Parts
from app.dashboard.pages import PAGE_HEADERS, STATIC, page
from app.errors import SpoolError
from app.projects.tickets import Ticket

router = APIRouter(prefix="/unsubscribe")

_MOST_BYTES = 4096
# The pair as forms write it (RFC 8058 §3.2): application/x-www-form-urlencoded, or a part of multipart/form-data.
_PAIR = re.compile(rb"(?:\A|&)List-Unsubscribe=One-Click(?:&|\s*\Z)", re.IGNORECASE)
_PART = re.compile(
    rb'name="?List-Unsubscribe"?[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n *One-Click\s', re.IGNORECASE
)


class _Step(StrEnum):
    """What a page has to say."""

    ASK = "ask"
    DONE = "done"
    UNKNOWN = "unknown"
    INCOMPLETE = "incomplete"
    LATER = "later"


@router.api_route("/{token}", methods=["GET", "HEAD"])
async def ask_to_unsubscribe(token: str, parts: Parts) -> HTMLResponse:
    """Show whose mail would end, and a button."""
    ticket = parts.tickets.read(token)
    return _page(_Step.ASK, ticket) if ticket else _unknown()


@router.post("/{token}")
async def unsubscribe(token: str, request: Request, parts: Parts) -> HTMLResponse:
    """End it; the answer is the same however often it is asked for."""
    ticket = parts.tickets.read(token)
    if ticket is None:
        return _unknown()
    body = b"".join([piece async for piece in read_pieces(request, _MOST_BYTES)])
    if not (_PAIR.search(body) or _PART.search(body)):
        return _page(_Step.INCOMPLETE, ticket, HTTPStatus.BAD_REQUEST)
    try:
        await parts.unsubscriber.unsubscribe(ticket)
    except SpoolError as error:
        answer = _page(_Step.LATER, ticket, HTTPStatus.SERVICE_UNAVAILABLE)
        answer.headers["Retry-After"] = str(error.retry_after_s)
        return answer
    return _page(_Step.DONE, ticket)


def _unknown() -> HTMLResponse:
    return _page(_Step.UNKNOWN, None, HTTPStatus.NOT_FOUND)


def _page(step: _Step, ticket: Ticket | None, status: int = HTTPStatus.OK) -> HTMLResponse:
    values: dict[str, object] = {"step": step.value, "style": _style()}
    if ticket:
        values |= {
            "address": _masked(ticket.address),
            "sender": ticket.sender,
            "stream": ticket.stream.value,
        }
    answer = page("unsubscribe.html", values, status)
    answer.headers.update(_headers())
    return answer


def _masked(address: str) -> str:
    """Return an address that its owner knows again, and nobody can write to who only has the link."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1] if len(local) > 1 else ''}•••@{domain}"


@cache
def _style() -> str:
    return (STATIC / "unsubscribe.css").read_text()


@cache
def _headers() -> Mapping[str, str]:
    """Return the headers of these pages: their style is named by its hash, their form posts to themselves."""
    digest = b64encode(sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )
    return {**PAGE_HEADERS, "Content-Security-Policy": policy, "X-Robots-Tag": "noindex"}
