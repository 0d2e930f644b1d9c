"""Batches: a result for each message, in order; what is wrong with one keeps no other back."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.projects.keys import Scope, create_key
from app.settings import DkimSettings, RedisSettings, Settings
from app.spool.client import Redis
from app.spool.replies import as_bytes, as_list
from tests.app.api.batches import (
    FILE,
    JSON,
    LIMITS,
    TERMS,
    claimed,
    files_of,
    numbered,
    send,
    send_bytes,
    stored,
    told,
)
from tests.app.api.client import MESSAGE, Client


@pytest.fixture
def settings(valkey_url: str) -> Settings:
    return Settings(
        redis=RedisSettings(url=valkey_url), api=LIMITS, dkim=DkimSettings(required=False)
    )


async def test_each_message_has_a_result_in_its_place(client: Client, redis: Redis) -> None:
    answer = await send(client, *numbered(110))
    assert answer.status == 202
    assert told(answer) == [f"user{number}@example.com" for number in range(110)]
    assert (answer.at("/accepted"), answer.at("/refused")) == (110, 0)
    assert answer.at("/results/0/replayed") is False
    assert await stored(redis) == 110
    found = await client.get(f"/messages/{answer.text_at('/results/109/message/id')}")
    assert found.at("/recipients/0/address") == "user109@example.com"


async def test_what_is_wrong_with_one_message_keeps_no_other_back(client: Client) -> None:
    bad: dict[str, object] = {**MESSAGE, "to": "nobody", "subjekt": ""}
    answer = await send(client, MESSAGE, bad, MESSAGE)
    assert answer.status == 202
    assert (answer.at("/accepted"), answer.at("/refused")) == (2, 1)
    assert told(answer) == ["ada@example.com", "invalid_request", "ada@example.com"]
    alone = await client.post("/messages", bad)
    assert answer.at("/results/1/problem") == alone.at("")


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (b'{"from": "a@b.example", "from": "c@d.example"}', "malformed_json"),
        (b'{"from": NaN}', "malformed_json"),
        (b'{"from": tru}', "malformed_json"),
        (b'{"from": "\xff"}', "malformed_json"),
        (b'{"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", "malformed_json"),
        (b'{"a": [' + b"0," * 150_000 + b"0]}", "too_large"),
        (b'{"from": "a@b.example", "to": "c@d.example", "text": "\\ud800"}', "invalid_request"),
        (b"17", "invalid_request"),
        (b'"text"', "invalid_request"),
        (b"[]", "invalid_request"),
        (b"{}", "invalid_request"),
        (b'{"text": "' + b"x" * 400_000 + b'"}', "too_large"),
        (
            b'{"from": "a@b.example", "to": "c@d.example", "attachments": [{"filename": "a", "content": "'
            + b"QUJD" * 90_000
            + b'!"}]}',
            "invalid_request",
        ),
    ],
)
async def test_a_message_that_cannot_be_read_is_refused_alone(
    client: Client, item: bytes, code: str
) -> None:
    good = json.dumps(MESSAGE).encode()
    answer = await send_bytes(client, b'{"messages": [%b, %b, %b]}' % (good, item, good))
    assert answer.status == 202, answer.body
    assert told(answer) == ["ada@example.com", code, "ada@example.com"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"[]", 400, "malformed_json"),
        (b"null", 400, "malformed_json"),
        (b'{"messages": [{}', 400, "malformed_json"),
        (b'{"messages": [{}]', 400, "malformed_json"),
        (b'{"messages": [{}]} {}', 400, "malformed_json"),
        (b'{"messages": [{},]}', 400, "malformed_json"),
        (b'{"messages": [{} {}]}', 400, "malformed_json"),
        (b'{"messages": [{"a": [}]}', 400, "malformed_json"),
        (b'{"messages": [{}], "messages": [{}]}', 400, "malformed_json"),
        (b'{"mess\\u0061ges": [{}], "messages": [{}]}', 400, "malformed_json"),
        (b'{"\xff": [{}]}', 400, "malformed_json"),
        (b'{"%b": []}' % (b"x" * 5_000), 400, "malformed_json"),
        (b"{}", 422, "invalid_request"),
        (b'{"messages": []}', 422, "invalid_request"),
        (b'{"messages": {}}', 422, "invalid_request"),
        (b'{"messages": null}', 422, "invalid_request"),
        (b'{"\\ud800": []}', 422, "invalid_request"),
        (b'{"messages": [{}], "attachments": []}', 422, "invalid_request"),
    ],
)
async def test_a_body_that_is_no_batch_is_refused_whole(
    client: Client, redis: Redis, body: bytes, status: int, code: str
) -> None:
    answer = await send_bytes(client, body)
    assert (answer.status, answer.code) == (status, code), answer.body
    assert await stored(redis) == 0


async def test_the_whole_batch_is_refused_for_members_it_does_not_have(client: Client) -> None:
    answer = await send(client, MESSAGE, **{"a/b~c": []})
    assert (answer.status, answer.refused) == (422, [("/a~1b~0c", "unknown_field")])


async def test_messages_before_the_point_where_a_body_breaks_are_told_of(
    client: Client, redis: Redis
) -> None:
    body = json.dumps({"messages": numbered(60)}).encode()
    answer = await send_bytes(client, body[:-2] + b",]}")
    assert (answer.status, answer.code) == (400, "malformed_json")
    assert told(answer) == [f"user{number}@example.com" for number in range(50)]
    assert await stored(redis) == 50


async def test_more_messages_than_allowed_are_not_sent(client: Client, redis: Redis) -> None:
    answer = await send(client, *numbered(121))
    assert (answer.status, answer.code) == (413, "too_large")
    assert len(told(answer)) == await stored(redis) == 120


async def test_a_shared_file_counts_for_each_message_that_has_it(client: Client) -> None:
    """A small body must not ask for gigabytes to be signed."""
    with_file = [{**message, "attachments": [{"shared": "terms"}]} for message in numbered(112)]
    answer = await send(client, *with_file, MESSAGE, attachments=[TERMS])
    most = LIMITS.max_batch_sent_bytes // len(FILE)
    whom = [f"user{number}@example.com" for number in range(most)]
    assert told(answer) == [*whom, *["too_large"] * (112 - most), "ada@example.com"]


async def test_a_batch_comes_in_pieces_of_any_size(client: Client) -> None:
    body = json.dumps({"attachments": [TERMS], "messages": numbered(3)}).encode()
    head, tail = body[:-300], body[-300:]
    pieces = [head, *(tail[at : at + 1] for at in range(len(tail)))]
    answer = await client.post_in_pieces("/messages/batch", pieces, JSON)
    assert answer.status == 202, answer.body
    assert answer.at("/accepted") == 3


async def test_a_batch_larger_than_allowed_ends_where_it_is_too_large(client: Client) -> None:
    pieces = [b'{"messages": [', *(b'"%b",' % (b"x" * 99_000) for _ in range(52)), b"1]}"]
    answer = await client.post_in_pieces("/messages/batch", pieces, JSON)
    assert (answer.status, answer.code) == (413, "too_large")
    assert told(answer) == ["invalid_request"] * len(told(answer))


async def test_a_length_beyond_the_limit_is_refused_before_the_body_comes(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    head = (
        f"POST /messages/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 5000001\r\n\r\n"
    )
    writer.write(head.encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_what_was_kept_of_a_batch_leaves_room_for_others(client: Client) -> None:
    large = json.dumps({**MESSAGE, "text": "x" * 390_000}).encode()
    pieces = [b'{"messages": [', *[large + b","] * 11, large, b"]}"]
    answer = await client.post_in_pieces("/messages/batch", pieces, JSON)
    assert answer.at("/accepted") == 12
    metrics = await client.get("/metrics")
    assert b"pillarbox_http_held_bytes 0.0" in metrics.body


async def test_only_keys_that_may_send_send_batches(client: Client, redis: Redis) -> None:
    reader = client.with_key(await create_key(redis, "shop", "reader", frozenset({Scope.READ})))
    assert (await send(reader, MESSAGE)).code == "forbidden"
    assert (await send(client.with_key(None), MESSAGE)).code == "unauthenticated"


async def test_headers_are_checked_as_for_one_message(client: Client) -> None:
    body = json.dumps({"messages": [MESSAGE]}).encode()
    answer = await client.call("POST", "/messages/batch", body=body)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    bad = {**JSON, "Idempotency-Key": "ü"}
    answer = await client.call("POST", "/messages/batch", body=body, headers=bad)
    assert (answer.status, answer.code) == (400, "invalid_header")


async def test_a_merge_stands_in_a_batch_like_any_message(
    client: Client, redis: Redis, settings: Settings
) -> None:
    merge = {
        **MESSAGE,
        "to": ["ada@example.com", "bob@example.net"],
        "text": "Hello {{ name }}",
        "recipients_data": {"ada@example.com": {"name": "Ada"}, "bob@example.net": {"name": "Bob"}},
        "attachments": [{"shared": "terms"}],
    }
    broken = {**merge, "text": "{{ nobody }}"}
    other = {**MESSAGE, "to": "eve@example.org"}
    answer = await send(client, merge, broken, other, attachments=[TERMS])
    assert told(answer) == ["ada@example.com", "invalid_request", "eve@example.org"]
    claim = await claimed(redis, settings)
    assert b"\r\n\r\nHello Ada\r\n" in claim.raw
    assert files_of(claim) == [("terms.pdf", FILE)]


async def test_who_is_suppressed_is_so_in_a_batch_too(client: Client, redis: Redis) -> None:
    listed = await client.post("/suppressions", {"addresses": ["user1@example.com"]})
    assert listed.status == 200, listed.body
    messages = [{**each, "attachments": [{"shared": "terms"}]} for each in numbered(3)]
    answer = await send(client, *messages, attachments=[TERMS])
    assert answer.at("/accepted") == 3
    statuses = [answer.at(f"/results/{n}/message/recipients/0/status") for n in range(3)]
    assert statuses == ["queued", "suppressed", "queued"]
    (part,) = as_list(await redis.call("KEYS", f"{redis.keys.shared}*"))
    # Only those who are sent it have it.
    assert await redis.call("HLEN", as_bytes(part)) == 1 + 2
