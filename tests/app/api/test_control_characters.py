"""No string of a request can start a line of a mail: every field that the schema has is tried, new ones too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from app.api.sending.requests import MessageRequest
from app.spool.client import Redis
from tests.app.api.client import Client

PROSE = {"/text", "/html", "/amp", "/calendar/content"}
"""Text of many lines, which the mail's encoding keeps apart from its header: only NUL is refused."""
FILLED: Mapping[str, JsonValue] = {
    "from": "shop@shop.example",
    "to": "ada@example.com",
    "text": "",
    "html": "",
    "address": "ada@example.com",
    "filename": "a.txt",
    "content": "",
}
"""Values of the fields that a hostile one needs beside it."""
HOSTILE = [
    *(chr(code) for code in [*range(0x20), 0x7F]),
    *["\r\n", "\r\nBcc: eve@example.net", "\n.\n", "\ud800"],
]

Schema = Mapping[str, JsonValue]
SCHEMA = MessageRequest.model_json_schema()


@dataclass(frozen=True)
class Place:
    """Where a string may stand, and a request with `HERE` in that place."""

    pointer: str
    document: JsonValue

    def is_at(self, pointer: str) -> bool:
        """Tell whether an error at `pointer` is about this place; names of members are part of it."""
        whole, star, _ = self.pointer.partition("/*")
        return pointer.startswith(whole) if star else pointer == whole


HERE = "HERE"


def _resolved(schema: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    found = SCHEMA["$defs"][str(schema["$ref"]).rpartition("/")[2]]
    assert isinstance(found, dict)
    return found


def _node(value: JsonValue) -> Schema:
    assert isinstance(value, dict)
    return value


def places(schema: Schema) -> Iterator[Place]:
    schema = _resolved(schema)
    for option in (*_list(schema.get("anyOf")), *_list(schema.get("oneOf"))):
        yield from places(_node(option))
    if schema.get("type") == "string" or "enum" in schema:
        yield Place("", HERE)
    if "items" in schema:
        for place in places(_node(schema["items"])):
            yield Place(f"/0{place.pointer}", [place.document])
    yield from _members(schema)


def _members(schema: Schema) -> Iterator[Place]:
    if isinstance(schema.get("additionalProperties"), dict):
        for place in places(_node(schema["additionalProperties"])):
            yield Place(f"/X-A{place.pointer}", {"X-A": place.document})
        yield Place("/*", {HERE: "a"})
    for name, field in _node(schema.get("properties", {})).items():
        for place in places(_node(field)):
            beside = {key: FILLED.get(key, "a") for key in map(str, _list(schema.get("required")))}
            yield Place(f"/{name}{place.pointer}", {**beside, name: place.document})


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def test_every_string_of_the_schema_is_found() -> None:
    found = {place.pointer for place in places(SCHEMA)}
    assert found >= PROSE
    assert found >= {
        *[
            "/from",
            "/from/name",
            "/to",
            "/to/0",
            "/to/0/name",
            "/bcc/address",
            "/reply_to/0/address",
        ],
        *["/subject", "/headers/X-A", "/headers/*", "/metadata/*", "/metadata/X-A", "/tags/0"],
        *["/attachments/0/filename", "/attachments/0/content_type", "/attachments/0/content_id"],
        *["/calendar/filename", "/calendar/method", "/in_reply_to", "/references", "/references/0"],
        *["/stream", "/expires_at", "/report_to"],
    }


async def test_control_characters_are_refused_in_every_field_and_nothing_is_stored(
    client: Client, redis: Redis
) -> None:
    before = await redis.call("DBSIZE")
    taken = []
    for place in places(SCHEMA):
        for hostile in HOSTILE:
            if place.pointer in PROSE and hostile not in {"\0", "\ud800"}:
                continue
            text = json.dumps({**FILLED_MESSAGE, **_node(place.document)})
            body = text.replace(HERE, json.dumps(f"a{hostile}b")[1:-1]).encode()
            answer = await client.call("POST", "/messages", body=body, headers=JSON)
            if answer.status != 422 or not any(place.is_at(found) for found, _ in answer.refused):
                taken.append((place.pointer, hostile, answer.status, answer.body))
    assert taken == []
    assert await redis.call("DBSIZE") == before


JSON = {"Content-Type": "application/json"}
FILLED_MESSAGE = {name: FILLED[name] for name in ("from", "to", "text", "html")}
