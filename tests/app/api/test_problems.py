"""Problems: one table for all codes, and nothing of the inside in any answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from app.api import problems
from app.api.pointers import pointer
from app.api.problems import KINDS
from app.errors import FieldError, InvalidRequest, PillarboxError, steps_of
from tests.app.api.client import Client
from tests.fakes.waiting import eventually


def _all(error: type[PillarboxError]) -> Iterator[type[PillarboxError]]:
    yield error
    for child in error.__subclasses__():
        yield from _all(child)


def test_every_error_has_its_place_in_the_table_and_no_code_is_left_over() -> None:
    assert problems.NotReady in _all(PillarboxError)  # errors of the edge count too
    assert {error.code for error in _all(PillarboxError)} == set(KINDS)


def test_what_is_wrong_with_the_whole_request_is_told_without_a_pointer() -> None:
    whole, name = FieldError("", "current_version", "keep it"), FieldError("/a", "required", "add")
    assert InvalidRequest((whole,)).detail == "keep it"
    assert InvalidRequest((whole, name)).detail == "keep it; /a: add"


def test_pointer_escapes_what_would_lead_elsewhere() -> None:
    assert pointer(["a/b", "c~d", 0, ""]) == "/a~1b/c~0d/0/"
    assert pointer([]) == ""
    assert steps_of("/a~1b/c~0d/~01/") == ("a/b", "c~d", "~1", "")
    assert steps_of("") == ()


async def test_problem_has_the_members_of_rfc_9457(client: Client) -> None:
    answer = await client.get("/nothing")
    assert json.loads(answer.body) == {
        "type": "urn:pillarbox:problem:not_found",
        "title": "There is no such thing here",
        "status": 404,
        "code": "not_found",
        "detail": "there is nothing at this path",
    }


async def test_wrong_method_is_told_the_right_ones(client: Client) -> None:
    answer = await client.call("PUT", "/messages")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_every_answer_forbids_storing_and_sniffing_and_names_no_server(
    client: Client,
) -> None:
    for answer in (await client.send(), await client.get("/nothing"), await client.get("/healthz")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "Server" not in answer.headers


@pytest.fixture
async def broken(app: FastAPI, client: Client) -> Client:
    """A client of an API that has lost its parts: every call that needs them is a fault."""
    del app.state.services
    return client


async def test_fault_of_ours_is_answered_logged_and_counted_and_tells_nothing(
    broken: Client,
) -> None:
    with capture_logs() as logs:
        answer = await broken.send()
    assert (answer.status, answer.code) == (500, "error")
    assert b"services" not in answer.body
    assert b"Traceback" not in answer.body
    assert [(entry["event"], entry["instance"]) for entry in logs] == [
        ("request_failed", answer.at("/instance"))
    ]
    metrics = (await broken.get("/metrics")).body
    assert b"pillarbox_http_unexpected_errors_total 1.0" in metrics
    assert b'{method="POST",route="/messages",status="500"} 1.0' in metrics


async def test_client_that_leaves_in_the_middle_of_its_body_is_no_fault(client: Client) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(
        b"POST /messages HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %b\r\nContent-Length: 1000\r\n\r\n{" % (client.key or "").encode()
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    async def counted() -> bool:
        return b'route="/messages",status="499"} 1.0' in (await client.get("/metrics")).body

    await eventually(counted)
    assert b"pillarbox_http_unexpected_errors_total 0.0" in (await client.get("/metrics")).body
