"""Webhook endpoints over HTTP, and what the atomic steps find of them."""

from __future__ import annotations

import base64

import pytest

from app.ids import EndpointId, ProjectId
from app.projects.endpoints import load_endpoint
from app.spool.client import Redis
from tests.app.api.client import Client

HOOK = {"url": "https://shop.example/hook"}


async def test_created_endpoint_shows_its_secret_once(client: Client) -> None:
    made = await client.post(
        "/endpoints", {**HOOK, "events": ["message.bounced"], "description": "x"}
    )
    assert made.status == 201
    path = made.headers["Location"]
    assert path == f"/endpoints/{made.text_at('/id')}"
    prefix, _, secret = made.text_at("/secret").partition("_")
    assert (prefix, len(base64.b64decode(secret))) == ("whsec", 32)
    found = await client.get(path)
    assert found.at("/events") == ["message.bounced"]
    assert found.at("/url") == HOOK["url"]
    assert b"secret" not in found.body
    assert b"secret" not in (await client.get("/endpoints")).body


async def test_endpoints_are_listed_oldest_first(client: Client) -> None:
    made = [(await client.post("/endpoints", HOOK)).text_at("/id") for _ in range(3)]
    listed = await client.get("/endpoints")
    assert [listed.at(f"/data/{n}/id") for n in range(3)] == made


async def test_project_may_have_so_many_endpoints(client: Client, stranger: Client) -> None:
    for _ in range(3):
        assert (await client.post("/endpoints", HOOK)).status == 201
    fourth = await client.post("/endpoints", HOOK)
    assert fourth.refused == [("", "too_many_endpoints")]
    assert (await stranger.post("/endpoints", HOOK)).status == 201


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"url": None}, ("/url", "wrong_type")),
        ({"url": "http://shop.example/"}, ("/url", "invalid_url")),
        ({"url": "https://127.0.0.1/"}, ("/url", "invalid_url")),
        ({"url": "https://shop.example/\r\nX: y"}, ("/url", "control_character")),
        ({"url": "https://shop.example/" + "a" * 2048}, ("/url", "too_long")),
        ({"events": ["message.opened"]}, ("/events/0", "unknown_value")),
        ({"events": "message.bounced"}, ("/events", "wrong_type")),
        ({"description": "a\0"}, ("/description", "control_character")),
        ({"secret": "whsec_x"}, ("/secret", "unknown_field")),
    ],
)
async def test_bad_endpoint_is_refused(
    client: Client, redis: Redis, fields: dict[str, object], refused: tuple[str, str]
) -> None:
    before = await redis.call("DBSIZE")
    answer = await client.post("/endpoints", {**HOOK, **fields})
    assert (answer.status, answer.refused) == (422, [refused])
    assert await redis.call("DBSIZE") == before


async def test_new_endpoint_is_told_of_the_events_it_wants(client: Client, redis: Redis) -> None:
    for events in ([], ["message.queued"], ["message.bounced"]):
        await client.post("/endpoints", {**HOOK, "events": events})
    await client.send()
    listed = await client.get("/endpoints")
    waiting = [
        await redis.call("ZCARD", f"{redis.keys.due}endpoint/shop/{listed.at(f'/data/{n}/id')}")
        for n in range(3)
    ]
    assert waiting == [1, 1, 0]


async def test_deleted_endpoint_leaves_nothing_behind(client: Client, redis: Redis) -> None:
    made = await client.post("/endpoints", HOOK)
    await client.send()
    assert (await client.call("DELETE", made.headers["Location"])).status == 204
    assert await redis.call("KEYS", f"*{made.text_at('/id')}*") == []
    assert (
        await redis.call("EXISTS", redis.keys.endpoint + "shop", redis.keys.endpoints + "shop") == 0
    )
    lane = f"endpoint/shop/{made.text_at('/id')}"
    assert await redis.call("ZSCORE", redis.keys.lanes, lane) is None
    assert (await client.get(made.headers["Location"])).status == 404
    assert (await client.call("DELETE", made.headers["Location"])).status == 404


async def test_worker_loads_an_endpoint_by_project_and_id(client: Client, redis: Redis) -> None:
    made = await client.post("/endpoints", HOOK)
    identity = EndpointId(made.text_at("/id"))
    found = await load_endpoint(redis, ProjectId("shop"), identity)
    assert found is not None
    assert found.secret == made.text_at("/secret")
    assert found.secret not in repr(found)
    assert await load_endpoint(redis, ProjectId("other"), identity) is None
