"""Bad requests: each gets its status, its code and the place, and nothing of it is stored."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from app.main import create_app
from app.projects.keys import create_key
from app.settings import ApiSettings, DkimSettings, RedisSettings, Settings
from app.spool.client import Redis, Reply
from tests.app.api.client import MESSAGE, Client
from tests.app.api.conftest import served
from tests.app.api.refused_content import REFUSED_CONTENT
from tests.app.api.refused_merges import REFUSED_MERGES
from tests.fakes.valkey import ValkeyServer

# One server for all rows: nothing is ever stored, so there is nothing to clean.
pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 1_001
JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """Connections to the store, under a name of its own."""
    async with Redis.connect(RedisSettings(url=valkey.url, prefix="bad-input")) as redis:
        yield redis


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(valkey: ValkeyServer, redis: Redis) -> AsyncIterator[Client]:
    """A client with a key that may do everything."""
    settings = Settings(
        redis=RedisSettings(url=valkey.url, prefix="bad-input"),
        api=ApiSettings(
            max_body_bytes=1_000_000, max_message_bytes=20_000, max_recipients=5, max_attachments=2
        ),
        dkim=DkimSettings(required=False),
    )
    key = await create_key(redis, "shop", "test")
    async with served(create_app(settings)) as client:
        yield client.with_key(key)


async def _stored(redis: Redis) -> Reply:
    return await redis.call("DBSIZE")


REFUSED_FIELDS: list[tuple[dict[str, object], list[tuple[str, str]]]] = [
    # unknown and missing
    ({"recipient": "a@b.example"}, [("/recipient", "unknown_field")]),
    ({"a/b~c": 1}, [("/a~1b~0c", "unknown_field")]),
    ({"to": {"address": "a@b.example", "nom": "A"}}, [("/to/nom", "unknown_field")]),
    ({"to": [{"name": "A"}]}, [("/to/0/address", "required")]),
    (
        {"attachments": [{}]},
        [("/attachments/0/filename", "required"), ("/attachments/0/content", "required")],
    ),
    ({"to": None}, [("/to", "required")]),
    ({"to": [], "cc": [], "bcc": []}, [("/to", "required")]),
    ({"text": None}, [("/text", "required")]),
    # wrong types
    ({"sender": None}, [("/from", "wrong_type")]),
    ({"sender": ["a@b.example"]}, [("/from", "wrong_type")]),
    ({"to": 1}, [("/to", "wrong_type")]),
    ({"to": [1, None, ["a@b.example"]]}, [(f"/to/{n}", "wrong_type") for n in range(3)]),
    ({"to": {"address": 1}}, [("/to/address", "wrong_type")]),
    ({"subject": 1}, [("/subject", "wrong_type")]),
    ({"subject": 5}, [("/subject", "wrong_type")]),
    ({"stream": "express"}, [("/stream", "unknown_value")]),
    ({"tls": "none"}, [("/tls", "unknown_value")]),
    ({"on_unknown": "guess"}, [("/on_unknown", "unknown_value")]),
    ({"text": ["a"]}, [("/text", "wrong_type")]),
    ({"html": True}, [("/html", "wrong_type")]),
    ({"tags": "a"}, [("/tags", "wrong_type")]),
    ({"tags": [1]}, [("/tags/0", "wrong_type")]),
    ({"metadata": []}, [("/metadata", "wrong_type")]),
    ({"metadata": {"a": 1}}, [("/metadata/a", "wrong_type")]),
    ({"headers": [["X-A", "b"]]}, [("/headers", "wrong_type")]),
    ({"headers": {"X-A": ["b"]}}, [("/headers/X-A", "wrong_type")]),
    ({"attachments": {}}, [("/attachments", "wrong_type")]),
    ({"attachments": ["a.txt"]}, [("/attachments/0", "wrong_type")]),
    ({"expires_in": "60"}, [("/expires_in", "wrong_type")]),
    ({"expires_in": 60.5}, [("/expires_in", "wrong_type")]),
    ({"expires_in": True}, [("/expires_in", "wrong_type")]),
    ({"expires_at": 1893456000}, [("/expires_at", "wrong_type")]),
    # addresses
    ({"to": ""}, [("/to", "invalid_address")]),
    ({"to": "ada"}, [("/to", "invalid_address")]),
    ({"to": "ada@localhost"}, [("/to", "invalid_address")]),
    ({"to": "ada@[127.0.0.1]"}, [("/to", "invalid_address")]),
    ({"to": "ada@exa mple.com"}, [("/to", "invalid_address")]),
    ({"to": "a@b.example, c@d.example"}, [("/to", "invalid_address")]),
    ({"to": "a(comment)@b.example"}, [("/to", "invalid_address")]),
    ({"to": "friends: a@b.example;"}, [("/to", "invalid_address")]),
    ({"to": "a%c.example@b.example"}, [("/to", "invalid_address")]),
    ({"to": "@a.example:b@c.example"}, [("/to", "invalid_address")]),
    ({"to": '"a b"@b.example'}, [("/to", "invalid_address")]),
    ({"to": "<a@b.example> SIZE=1"}, [("/to", "invalid_address")]),
    ({"to": "a@b.example> SIZE=1 <"}, [("/to", "invalid_address")]),
    ({"to": "a＠b.example@c.example"}, [("/to", "invalid_address")]),
    ({"to": "a\u202e@b.example"}, [("/to", "invalid_address")]),
    ({"to": f"{'ü' * 33}@b.example"}, [("/to", "invalid_address")]),
    ({"to": f"{'a' * 65}@b.example"}, [("/to", "invalid_address")]),
    ({"to": f"a@{'b' * 300}.example"}, [("/to", "invalid_address")]),
    ({"to": "a" * 100_000}, [("/to", "invalid_address")]),
    ({"to": "ada@b.example", "cc": ["ok@b.example", "bad"]}, [("/cc/1", "invalid_address")]),
    ({"reply_to": {"address": "Ada <ada@b.example>"}}, [("/reply_to/address", "invalid_address")]),
    ({"report_to": "Ada <ada@b.example>"}, [("/report_to", "invalid_address")]),
    ({"report_to": ["ada@b.example"]}, [("/report_to", "wrong_type")]),
    # control characters and half surrogates
    ({"report_to": "a@b.example\r\n"}, [("/report_to", "control_character")]),
    ({"sender": "Eve\r\nBcc: x@y.example <a@b.example>"}, [("/from", "control_character")]),
    ({"to": "a@b.example\n"}, [("/to", "control_character")]),
    ({"to": {"address": "a@b.example\0"}}, [("/to/address", "control_character")]),
    ({"to": {"address": "a@b.example", "name": "A\x7f"}}, [("/to/name", "control_character")]),
    ({"subject": "Hi\r\nBcc: x@y.example"}, [("/subject", "control_character")]),
    ({"subject": "\t"}, [("/subject", "control_character")]),
    ({"text": "a\0b"}, [("/text", "control_character")]),
    ({"html": "\0"}, [("/html", "control_character")]),
    ({"tags": ["a\n"]}, [("/tags/0", "invalid_value")]),
    ({"metadata": {"a": "b\r"}}, [("/metadata/a", "control_character")]),
    ({"metadata": {"a\n": "b"}}, [("/metadata/a\n", "control_character")]),
    ({"headers": {"X-A": "b\r\nX-C: d"}}, [("/headers/X-A", "control_character")]),
    ({"headers": {"X-A\r\nX-C": "b"}}, [("/headers/X-A\r\nX-C", "control_character")]),
    (
        {"attachments": [{"filename": "a\r\n.txt", "content": ""}]},
        [("/attachments/0/filename", "control_character")],
    ),
    (
        {"attachments": [{"filename": "a", "content": "", "content_type": "text/plain\r\nX: y"}]},
        [("/attachments/0/content_type", "control_character")],
    ),
    (
        {"attachments": [{"filename": "a", "content": "", "content_id": "a\n"}]},
        [("/attachments/0/content_id", "control_character")],
    ),
    ({"subject": "\ud800"}, [("/subject", "lone_surrogate")]),
    ({"text": "\udfff"}, [("/text", "lone_surrogate")]),
    ({"to": "\ud800@b.example"}, [("/to", "lone_surrogate")]),
    ({"metadata": {"a": "\ud800"}}, [("/metadata/a", "lone_surrogate")]),
    ({"metadata": {"\ud800": "a"}}, [("/metadata", "lone_surrogate")]),
    ({"headers": {"X-A": "\ud800"}}, [("/headers/X-A", "lone_surrogate")]),
    ({"\ud800": "a"}, [("", "lone_surrogate")]),
    # lengths and counts
    ({"subject": "a" * 999}, [("/subject", "too_long")]),
    ({"to": {"address": "a@b.example", "name": "a" * 999}}, [("/to/name", "too_long")]),
    ({"to": ["a@b.example"] * MANY}, [("/to", "too_many")]),
    ({"to": [f"a{n}@b.example" for n in range(6)]}, [("/to", "too_many_recipients")]),
    ({"tags": ["a"] * 11}, [("/tags", "too_many")]),
    ({"tags": ["a" * 101]}, [("/tags/0", "too_long")]),
    ({"tags": [""]}, [("/tags/0", "too_short")]),
    ({"tags": ["a b"]}, [("/tags/0", "invalid_value")]),
    ({"metadata": {f"{n}": "" for n in range(51)}}, [("/metadata", "too_many")]),
    ({"metadata": {"a" * 41: ""}}, [(f"/metadata/{'a' * 41}", "too_long")]),
    ({"metadata": {"": "a"}}, [("/metadata/", "too_short")]),
    ({"metadata": {"a": "b" * 501}}, [("/metadata/a", "too_long")]),
    ({"metadata": {f"{n}": "\u20ac" * 500 for n in range(3)}}, [("/metadata", "too_long")]),
    ({"headers": {f"X-{n}": "" for n in range(101)}}, [("/headers", "too_many")]),
    ({"headers": {"X-A": "b" * 8193}}, [("/headers/X-A", "too_long")]),
    ({"attachments": [{"filename": "a", "content": ""}] * 3}, [("/attachments", "too_many")]),
    (
        {"attachments": [{"filename": "", "content": ""}]},
        [("/attachments/0/filename", "too_short")],
    ),
    (
        {"attachments": [{"filename": "a" * 256, "content": ""}]},
        [("/attachments/0/filename", "too_long")],
    ),
    # headers of the mail
    ({"headers": {"bCc": "x@y.example"}}, [("/headers/bCc", "invalid_header_field")]),
    ({"headers": {"DKIM-Signature": "v=1"}}, [("/headers/DKIM-Signature", "invalid_header_field")]),
    ({"headers": {"X A": "b"}}, [("/headers/X A", "invalid_header_field")]),
    ({"headers": {"": "b"}}, [("/headers/", "invalid_header_field")]),
    ({"headers": {"References": "none"}}, [("/headers/References", "invalid_header_field")]),
    (
        {"headers": {"List-Id": "<a.b.example>", "list-id": "<a.b.example>"}},
        [("/headers/list-id", "duplicate")],
    ),
    *REFUSED_CONTENT,
    # times
    ({"expires_in": 0}, [("/expires_in", "out_of_range")]),
    ({"expires_in": 14 * 86_400 + 1}, [("/expires_in", "out_of_range")]),
    ({"expires_in": 10**15}, [("/expires_in", "out_of_range")]),
    ({"expires_at": "2020-01-01T00:00:00Z"}, [("/expires_at", "out_of_range")]),
    ({"expires_at": "9999-12-31T23:59:59-23:59"}, [("/expires_at", "out_of_range")]),
    ({"expires_at": "0001-01-01T00:00:00+23:59"}, [("/expires_at", "out_of_range")]),
    ({"expires_at": "2030-01-01"}, [("/expires_at", "invalid_time")]),
    ({"expires_at": "2030-01-01T00:00:00"}, [("/expires_at", "invalid_time")]),
    ({"expires_at": "2030-02-30T00:00:00Z"}, [("/expires_at", "invalid_time")]),
    ({"expires_at": "20300101T000000Z"}, [("/expires_at", "invalid_time")]),
    (
        {"expires_in": 60, "expires_at": "2020-01-01T00:00:00Z"},
        [("/expires_at", "excluded"), ("/expires_at", "out_of_range")],
    ),
    *REFUSED_MERGES,
    # many at once
    ({f"field{n}": 1 for n in range(200)}, [("", "too_many_errors")]),
    (
        {"sender": "x", "subject": 1, "tags": "y"},
        [("/from", "invalid_address"), ("/subject", "wrong_type"), ("/tags", "wrong_type")],
    ),
]


def _name(value: object) -> str:
    return json.dumps(value)[:70] if isinstance(value, dict) else "-"


@pytest.mark.parametrize(("fields", "refused"), REFUSED_FIELDS, ids=_name)
async def test_bad_field_is_named_and_nothing_is_stored(
    client: Client, redis: Redis, fields: dict[str, object], refused: list[tuple[str, str]]
) -> None:
    before = await _stored(redis)
    answer = await client.send(**fields)
    assert (answer.status, answer.code) == (422, "invalid_request"), answer.body
    assert answer.refused == refused
    assert await _stored(redis) == before


RIGHT = json.dumps(MESSAGE).encode()

BAD_BODIES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 400, "malformed_json"),
    "no JSON": (b"from=a", 400, "malformed_json"),
    "cut off": (RIGHT[:-5], 400, "malformed_json"),
    "followed by more": (RIGHT + b"{}", 400, "malformed_json"),
    "name twice": (b'{"to": "a@b.example", "to": "c@d.example"}', 400, "malformed_json"),
    "name twice inside": (b'{"metadata": {"a": "1", "\\u0061": "2"}}', 400, "malformed_json"),
    "NaN": (b'{"expires_in": NaN}', 400, "malformed_json"),
    "Infinity": (b'{"expires_in": -Infinity}', 400, "malformed_json"),
    "comment": (b"{} // hi", 400, "malformed_json"),
    "raw control character": (b'{"subject": "a\nb"}', 400, "malformed_json"),
    "not UTF-8": (b'{"subject": "\xff"}', 400, "malformed_json"),
    "surrogate in UTF-8": (b'{"subject": "\xed\xa0\x80"}', 400, "malformed_json"),
    "byte order mark": (b"\xef\xbb\xbf" + RIGHT, 400, "malformed_json"),
    "UTF-16": (RIGHT.decode().encode("utf-16"), 400, "malformed_json"),
    "UTF-16 without mark": (RIGHT.decode().encode("utf-16-le"), 400, "malformed_json"),
    "deep list": (b"[" * 100_000, 400, "malformed_json"),
    "deep object": (b'{"a":' * 100_000, 400, "malformed_json"),
    "huge number": (b'{"expires_in": ' + b"9" * 500_000 + b"}", 400, "malformed_json"),
    "very many names": (
        b"{" + b",".join(b'"k%d":1' % n for n in range(1_001)) + b"}",
        413,
        "too_large",
    ),
    "very many parts": (b"[" + b"1," * 300_000 + b"1]", 413, "too_large"),
    "very many empty objects": (b"[" + b"{}," * 300_000 + b"{}]", 413, "too_large"),
    "a list": (b"[]", 422, "invalid_request"),
    "a string": (b'"a"', 422, "invalid_request"),
    "null": (b"null", 422, "invalid_request"),
    "a number": (b"1e999", 422, "invalid_request"),
    "too large": (b" " * 1_000_001, 413, "too_large"),
    "message too large": (RIGHT[:-1] + b', "html": "' + b"a" * 30_000 + b'"}', 413, "too_large"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_bad_body_is_refused_and_nothing_is_stored(
    client: Client, redis: Redis, name: str
) -> None:
    body, status, code = BAD_BODIES[name]
    before = await _stored(redis)
    answer = await client.call("POST", "/messages", body=body, headers=JSON)
    assert (answer.status, answer.code) == (status, code), answer.body
    assert await _stored(redis) == before


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"[]", "must be an object"),
        (b'{"subject": "a\nb"}', "Invalid control character at line 1, column 15"),
    ],
)
async def test_what_is_wrong_with_the_whole_body_reads_as_a_sentence(
    client: Client, body: bytes, detail: str
) -> None:
    answer = await client.call("POST", "/messages", body=body, headers=JSON)
    assert answer.at("/detail") == detail


BAD_FORMS: list[tuple[Mapping[str, str], int, str]] = [
    ({}, 415, "unsupported_media_type"),
    ({"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    ({"Content-Type": "application/jsonx"}, 415, "unsupported_media_type"),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
    ({"Content-Type": "multipart/form-data; boundary=x"}, 415, "unsupported_media_type"),
    ({"Content-Type": "application/json; charset=utf-16"}, 415, "unsupported_media_type"),
    ({**JSON, "Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
]


@pytest.mark.parametrize(("headers", "status", "code"), BAD_FORMS, ids=str)
async def test_body_in_another_form_is_refused(
    client: Client, redis: Redis, headers: Mapping[str, str], status: int, code: str
) -> None:
    before = await _stored(redis)
    answer = await client.call("POST", "/messages", body=RIGHT, headers=headers)
    assert (answer.status, answer.code) == (status, code)
    assert await _stored(redis) == before


@pytest.mark.parametrize(
    "form", ["application/json", "application/json; charset=UTF-8", "Application/JSON"]
)
async def test_usual_ways_to_say_json_are_taken(client: Client, form: str) -> None:
    answer = await client.call("POST", "/messages", body=b"{}", headers={"Content-Type": form})
    assert (answer.status, answer.refused[0]) == (422, ("/from", "required"))


async def test_body_without_a_length_is_cut_off_at_the_limit(client: Client) -> None:
    answer = await client.post_in_pieces("/messages", (b" " * 100_000 for _ in range(20)), JSON)
    assert (answer.status, answer.code) == (413, "too_large")


BAD_KEYS = [
    None,
    "",
    "pb_1_2",
    "sk_live_1234",
    f"pb_{'0' * 32}_{'0' * 48}",
    "\x80",
]


@pytest.mark.parametrize("key", BAD_KEYS)
async def test_wrong_or_no_key_is_refused_before_the_body_is_looked_at(
    client: Client, key: str | None
) -> None:
    answer = await client.with_key(key).call("POST", "/messages", body=b"{", headers=JSON)
    assert (answer.status, answer.code) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("scheme", ["Basic", "Token", ""])
async def test_other_schemes_than_bearer_are_refused(client: Client, scheme: str) -> None:
    headers = {**JSON, "Authorization": f"{scheme} {client.key}"}
    answer = await client.with_key(None).call("POST", "/messages", body=RIGHT, headers=headers)
    assert (answer.status, answer.code) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/messages/", 404, "not_found"),
        ("POST", "/messages/", 404, "not_found"),
        ("GET", "/messages/%00", 404, "not_found"),
        ("GET", "/messages/msg_x", 404, "not_found"),
        ("GET", f"/messages/msg_{'0' * 32}", 404, "not_found"),
        ("GET", f"/messages/msg_{'0' * 32}/events", 404, "not_found"),
        ("GET", f"/messages/msg_{'0' * 32}%0a/attempts", 404, "not_found"),
        ("GET", f"/endpoints/{'x' * 5000}", 404, "not_found"),
        ("DELETE", f"/endpoints/end_{'0' * 32}", 404, "not_found"),
        ("PUT", "/messages", 405, "method_not_allowed"),
        ("DELETE", f"/messages/msg_{'0' * 32}", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
    ],
)
async def test_what_does_not_exist_is_a_problem_too(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.call(method, path)
    assert (answer.status, answer.code) == (status, code)
