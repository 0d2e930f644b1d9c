"""Whatever comes in: an answer of the contract, and never a fault of ours."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from schemathesis.checks import not_a_server_error, status_code_conformance
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
)
from uvicorn import Config, Server

from app.main import create_app
from app.projects.keys import create_key
from app.settings import ApiSettings, DkimSettings, RedisSettings, Settings
from app.settings.delivering import DnsSettings
from app.settings.rootkeys import SecretSettings
from app.spool.client import Redis
from tests.fakes.valkey import ValkeyServer


@dataclass(frozen=True)
class Live:
    """The API on a thread of its own, for tests that are not asynchronous."""

    port: int
    key: str

    def post(self, body: bytes, path: str = "/messages") -> tuple[int, dict[str, object]]:
        """Post a body; return the status and the JSON of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        answer: dict[str, object] = json.loads(response.read())
        connection.close()
        return response.status, answer


SOON = DnsSettings(dry_run=timedelta(milliseconds=1))
"""There is no worker that a dry run could wait for."""


@pytest.fixture(scope="module")
def live(valkey: ValkeyServer) -> Iterator[Live]:
    """The API on a thread, until the module's tests are done."""
    redis = RedisSettings(url=valkey.url, prefix="random-input")
    limits = ApiSettings(max_body_bytes=200_000)
    server = Server(
        Config(
            create_app(
                Settings(
                    redis=redis,
                    api=limits,
                    dkim=DkimSettings(required=False),
                    dns=SOON,
                    secrets=SecretSettings(key=SecretStr("5f" * 32)),
                )
            ),
            "127.0.0.1",
            0,
            log_config=None,
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
            assert thread.is_alive()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Live(port, asyncio.run(_new_key(redis)))
    finally:
        server.should_exit = True
        thread.join()


async def _new_key(settings: RedisSettings) -> str:
    async with Redis.connect(settings) as redis:
        return await create_key(redis, "shop", "test")


# Lone surrogates and control characters too: JSON can write them all.
TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
ADDRESS = (
    st.sampled_from(["a@b.example", "Ada <a@b.example>", "ü@b.example", "a@bücher.example"]) | TEXT
)
ATTACHMENT = st.fixed_dictionaries(
    {"filename": TEXT, "content": st.sampled_from(["", "YQ==", "YQ"]) | TEXT},
    optional={
        "content_type": st.sampled_from(["text/plain", "image/svg+xml"]) | TEXT,
        "content_id": TEXT,
    },
)
USUAL: dict[str, st.SearchStrategy[object]] = {
    "from": ADDRESS,
    "to": ADDRESS
    | st.lists(ADDRESS | st.fixed_dictionaries({"address": ADDRESS, "name": TEXT}), max_size=3),
    "cc": st.lists(ADDRESS, max_size=2),
    "bcc": ADDRESS,
    "reply_to": ADDRESS,
    "report_to": st.just("ops@example.com"),
    "subject": TEXT,
    "text": TEXT,
    "html": TEXT,
    "attachments": st.lists(ATTACHMENT, max_size=2),
    "headers": st.dictionaries(
        st.sampled_from(["X-A", "List-Id", "References"]) | TEXT, TEXT, max_size=3
    ),
    "tags": st.lists(st.sampled_from(["a", "b-c"]) | TEXT, max_size=3),
    "metadata": st.dictionaries(TEXT, TEXT, max_size=3),
    "expires_in": st.integers(),
    "expires_at": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z") | TEXT,
}
MESSAGE = st.fixed_dictionaries({}, optional={name: value | JSON for name, value in USUAL.items()})
PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
GOOD = st.fixed_dictionaries(
    {"from": st.just("a@b.example"), "to": st.just("c@d.example"), "text": PLAIN},
    optional={
        "html": PLAIN,
        "subject": st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=300),
        "metadata": st.dictionaries(
            st.text("abc", min_size=1, max_size=40), st.text("ü✉a ", max_size=20), max_size=5
        ),
        "headers": st.dictionaries(
            st.text("abc", min_size=1, max_size=40).map(lambda name: f"X-{name}"),
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=300),
            max_size=3,
        ),
    },
)

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
REFUSALS = {400: {"malformed_json"}, 413: {"too_large"}, 422: {"invalid_request"}}


def _refused(status: int, answer: dict[str, object]) -> bool:
    return answer.get("code") in REFUSALS.get(status, set()) and answer["status"] == status


@given(document=JSON)
@QUICK
def test_any_json_is_refused_with_a_reason(live: Live, document: object) -> None:
    assert _refused(*live.post(json.dumps(document).encode()))


@given(body=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
@QUICK
def test_any_bytes_are_refused_with_a_reason(live: Live, body: bytes) -> None:
    assert _refused(*live.post(body))


@given(document=MESSAGE)
@QUICK
def test_message_of_random_fields_is_accepted_or_refused_field_by_field(
    live: Live, document: object
) -> None:
    status, answer = live.post(json.dumps(document).encode())
    if status != 202:
        assert _refused(status, answer)
        assert status == 400 or answer["errors"]


@given(document=MESSAGE | GOOD)
@QUICK
def test_a_dry_run_succeeds_where_sending_does(live: Live, document: object) -> None:
    body = json.dumps(document).encode()
    dry_status, dry = live.post(body, "/messages?dry_run=true")
    status, answer = live.post(body)
    assert (dry_status, status) in {(200, 202), (status, status)}
    if status != 202:
        assert dry == answer


@given(document=GOOD)
@QUICK
def test_message_of_any_well_formed_text_is_accepted(live: Live, document: object) -> None:
    status, answer = live.post(json.dumps(document).encode())
    assert status == 202, answer


@given(noise=st.integers(0, 500), byte=st.integers(0, 255))
@QUICK
def test_message_with_one_byte_changed_is_never_a_fault(live: Live, noise: int, byte: int) -> None:
    body = bytearray(
        b'{"from":"A <a@b.example>","to":["c@d.example"],"subject":"\\u00fc","text":"\xc3\xbc",'
        b'"attachments":[{"filename":"a.txt","content":"YQ=="}],"expires_in":60}'
    )
    body[noise % len(body)] = byte
    status, answer = live.post(bytes(body))
    assert status == 202 or _refused(status, answer)


SHARED = st.fixed_dictionaries({"id": st.sampled_from(["a", "b"]) | TEXT}).flatmap(
    lambda named: ATTACHMENT.map(lambda attachment: {**attachment, **named})
)
REFERENCE = st.fixed_dictionaries({"shared": st.sampled_from(["a", "b"]) | JSON})
BATCH = st.fixed_dictionaries(
    {
        "messages": st.lists(
            GOOD
            | MESSAGE
            | JSON
            | GOOD.flatmap(
                lambda message: st.lists(REFERENCE | ATTACHMENT, max_size=2).map(
                    lambda attachments: {**message, "attachments": attachments}
                )
            ),
            max_size=4,
        )
    },
    optional={"attachments": st.lists(SHARED | JSON, max_size=2) | JSON, "else": JSON},
)


@given(document=BATCH | JSON)
@QUICK
def test_batch_of_anything_has_a_result_for_each_message_or_a_reason(
    live: Live, document: object
) -> None:
    # Attachments stand first, as they have to.
    if isinstance(document, dict):
        document = dict(sorted(document.items()))
    status, answer = live.post(json.dumps(document).encode(), "/messages/batch")
    if status != 202:
        assert _refused(status, answer)
        return
    assert isinstance(document, dict)
    results = answer["results"]
    assert isinstance(results, list)
    assert len(results) == len(document["messages"])
    problems = [each["problem"] for each in results if each["status"] == "refused"]
    assert all(_refused(problem["status"], problem) for problem in problems)


@given(noise=st.integers(0, 500), byte=st.integers(0, 255))
@QUICK
def test_batch_with_one_byte_changed_is_never_a_fault(live: Live, noise: int, byte: int) -> None:
    body = bytearray(
        b'{"attachments":[{"id":"a","filename":"a.txt","content":"YQ=="}],"messages":[{"from":'
        b'"A <a@b.example>","to":["c@d.example"],"text":"\xc3\xbc","attachments":[{"shared":"a"}]},{}]}'
    )
    body[noise % len(body)] = byte
    status, answer = live.post(bytes(body), "/messages/batch")
    assert status == 202 or _refused(status, answer)


@schemathesis.serializer("message/rfc822")
def _mail(_context: object, value: object) -> bytes:
    return str(value).encode("utf-8", "replace")


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def test_every_answer_is_one_that_the_contract_describes(live: Live) -> None:
    contract = schemathesis.openapi.from_url(f"http://127.0.0.1:{live.port}/openapi.json")
    found = list(contract.get_all_operations())
    assert len(found) >= 10
    for result in found:
        assert isinstance(result, Ok)
        _check_operation(live, result.ok().as_strategy())


def _check_operation(live: Live, cases: st.SearchStrategy[object]) -> None:
    @given(case=cases)
    @settings(QUICK, max_examples=25)
    def check(case: object) -> None:
        assert isinstance(case, schemathesis.Case)
        case.call_and_validate(checks=CHECKS, headers={"Authorization": f"Bearer {live.key}"})

    check()
