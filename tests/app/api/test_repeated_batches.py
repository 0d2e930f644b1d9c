"""Batches that are repeated with their Idempotency-Key: nothing is sent twice."""

from __future__ import annotations

import json

import pytest

from app.settings import DkimSettings, RedisSettings, Settings
from app.spool.client import Redis
from tests.app.api.batches import (
    LIMITS,
    ONCE,
    TERMS,
    numbered,
    post,
    stored,
    told,
)
from tests.app.api.client import MESSAGE, Client


@pytest.fixture
def settings(valkey_url: str) -> Settings:
    return Settings(
        redis=RedisSettings(url=valkey_url), api=LIMITS, dkim=DkimSettings(required=False)
    )


async def test_a_repeated_batch_sends_nothing_twice(client: Client, redis: Redis) -> None:
    first = await post(client, numbered(60))
    again = await post(client, numbered(60))
    assert await stored(redis) == 60
    for number in range(60):
        assert again.at(f"/results/{number}/replayed") is True
        assert again.at(f"/results/{number}/message") == first.at(f"/results/{number}/message")


async def test_a_repetition_sends_what_was_not_accepted_before(
    client: Client, redis: Redis
) -> None:
    body = json.dumps({"messages": [*numbered(55), 1]}).encode()[:-3]
    broken = await client.call("POST", "/messages/batch", body=body, headers=ONCE)
    assert (broken.status, await stored(redis)) == (400, 50)
    answer = await post(client, numbered(55))
    assert await stored(redis) == 55
    replays = [answer.at(f"/results/{number}/replayed") for number in range(55)]
    assert replays == [True] * 50 + [False] * 5


async def test_a_message_that_was_corrected_is_sent_by_the_repetition(client: Client) -> None:
    first = await post(client, [MESSAGE, {**MESSAGE, "to": "nobody"}])
    again = await post(client, [MESSAGE, {**MESSAGE, "to": "b@example.com"}])
    assert told(first) == ["ada@example.com", "invalid_request"]
    assert told(again) == ["ada@example.com", "b@example.com"]


async def test_a_key_that_was_used_for_other_messages_is_a_conflict_of_these(
    client: Client,
) -> None:
    await post(client, numbered(2))
    answer = await post(client, [numbered(1)[0], MESSAGE, MESSAGE])
    assert told(answer) == ["user0@example.com", "idempotency_conflict", "ada@example.com"]


async def test_another_file_under_the_same_id_is_a_conflict(client: Client) -> None:
    message = {**MESSAGE, "attachments": [{"shared": "terms"}]}
    await post(client, [message], attachments=[TERMS])
    other = {**TERMS, "content": ""}
    assert told(await post(client, [message], attachments=[other])) == ["idempotency_conflict"]


async def test_keys_of_batches_and_of_messages_do_not_meet(client: Client, redis: Redis) -> None:
    await post(client, [MESSAGE])
    assert (await client.post("/messages", MESSAGE, ONCE)).status == 202
    assert await stored(redis) == 2
