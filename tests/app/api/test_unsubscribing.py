"""Links to unsubscribe: one POST is enough, and nothing else does anything."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr

from app.ids import MessageId, ProjectId
from app.main import create_app
from app.messages import Stream
from app.projects.tickets import KEY_BYTES, Ticket, Tickets
from app.settings import Settings
from app.settings.rootkeys import SecretSettings
from app.spool.client import Redis
from tests.app.api.client import Client
from tests.app.api.conftest import served
from tests.app.api.links import (
    FORM,
    HOSTED,
    MULTIPART,
    PAIR,
    click,
    mail_of,
    path_of,
    sent_path,
    suppressed,
    told,
)


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (PAIR, FORM),
        (PAIR + b"\r\n", FORM),
        (b"a=b&" + PAIR, FORM),
        (MULTIPART, "multipart/form-data; boundary=x1"),
        (
            MULTIPART.replace(b"\r\n\r\nOne", b"\r\nContent-Type: text/plain\r\n\r\nOne"),
            "multipart/form-data",
        ),
    ],
)
async def test_one_post_is_enough_in_either_form(
    client: Client, redis: Redis, body: bytes, form: str
) -> None:
    answer = await client.send(to="Ada@Example.com", stream="bulk", list_unsubscribe=HOSTED)
    path = path_of(await mail_of(redis, answer))
    for _ in range(2):
        clicked = await click(client, path, body, form)
        assert clicked.status == 200
        assert not {"set-cookie", "location"} & {name.lower() for name in clicked.headers}
    assert await suppressed(client) == [("ada@example.com", "bulk", "unsubscribed")]
    entry = await client.get("/suppressions/ada@example.com")
    assert entry.at("/data/0/message_id") == answer.text_at("/id")
    assert await told(client, answer.text_at("/id")) == [
        ("message.queued", 1),
        ("message.unsubscribed", 2),
    ]
    again = await client.send(to="ada@example.com", stream="bulk", list_unsubscribe=HOSTED)
    assert again.at("/recipients/0/status") == "suppressed"
    assert (await client.send(to="ada@example.com")).at("/recipients/0/status") == "queued"


async def test_who_unsubscribes_leaves_the_list_of_that_project_alone(
    client: Client, stranger: Client, redis: Redis
) -> None:
    await click(client, await sent_path(client, redis))
    assert await suppressed(stranger) == []
    assert len(await suppressed(client)) == 1


async def test_opening_a_link_changes_nothing(client: Client, redis: Redis) -> None:
    path = await sent_path(client, redis, stream="bulk")
    bare = client.with_key(None)
    shown = await bare.get(path)
    assert shown.status == 200
    text = shown.body.decode()
    for words in ("a•••@example.com", "shop.example", '<form method="post">', '<html lang="en">'):
        assert words in text
    assert "ada@" not in text
    policy = shown.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "<script" not in text
    assert shown.headers["referrer-policy"] == "no-referrer"
    for method in ("HEAD", "GET"):
        assert (await bare.call(method, path)).status == 200
    for method in ("PUT", "DELETE"):
        assert (await bare.call(method, path)).status == 405
    assert await suppressed(client) == []


@pytest.mark.parametrize("body", [b"", b"List-Unsubscribe=No", b"x" + PAIR, PAIR + b"s", b"{}"])
async def test_a_post_that_does_not_say_so_changes_nothing(
    client: Client, redis: Redis, body: bytes
) -> None:
    path = await sent_path(client, redis)
    assert (await click(client, path, body)).status == 400
    assert await suppressed(client) == []


async def test_a_large_body_is_not_read(client: Client, redis: Redis) -> None:
    path = await sent_path(client, redis)
    answer = await click(client, path, PAIR + b"&" + b"x" * 4096)
    assert answer.code == "too_large"
    assert await suppressed(client) == []


async def test_links_that_were_not_made_here_lead_nowhere(client: Client, redis: Redis) -> None:
    path = await sent_path(client, redis)
    token = path.rpartition("/")[2]
    message = MessageId("msg_" + "0" * 32)
    other = Ticket(ProjectId("shop"), Stream.BULK, message, 0, "shop.example", "eve@example.com")
    forged = Tickets([bytes(KEY_BYTES)]).seal(other)
    changed = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    for wrong in (forged, changed, token[:-1], token + "A", "x", "%00", "A" * 5_000):
        for method in ("GET", "POST"):
            answer = await client.with_key(None).call(
                method, f"/unsubscribe/{wrong}", body=PAIR if method == "POST" else None
            )
            assert answer.status == 404
            assert b"This link does not work" in answer.body
    assert await suppressed(client) == []


async def test_links_of_a_former_secret_work_and_those_of_a_dropped_one_do_not(
    settings: Settings, client: Client, redis: Redis
) -> None:
    path = await sent_path(client, redis)
    new, old = SecretStr("7e" * 32), settings.secrets.key
    assert old
    for secrets, status in (
        (SecretSettings(key=new, former_keys=(old,)), 200),
        (SecretSettings(key=new), 404),
    ):
        async with served(create_app(settings.model_copy(update={"secrets": secrets}))) as other:
            assert (await click(other, path)).status == status


async def test_posts_at_the_same_time_are_told_of_once(client: Client, redis: Redis) -> None:
    answer = await client.send(list_unsubscribe=HOSTED)
    path = path_of(await mail_of(redis, answer))
    answers = await asyncio.gather(*(click(client, path) for _ in range(20)))
    assert {each.status for each in answers} == {200}
    assert await told(client, answer.text_at("/id")) == [
        ("message.queued", 1),
        ("message.unsubscribed", 2),
    ]


async def test_a_link_works_when_its_message_is_gone(client: Client, redis: Redis) -> None:
    answer = await client.send(list_unsubscribe=HOSTED, tags=["spring"])
    path, message = path_of(await mail_of(redis, answer)), answer.text_at("/id")
    await redis.call("DEL", redis.keys.message + message)
    for _ in range(2):
        assert (await click(client, path)).status == 200
    assert await suppressed(client) == [("ada@example.com", "transactional", "unsubscribed")]
    # Nothing of the message comes back.
    assert (await client.get(f"/messages/{message}")).status == 404
    assert await redis.call("EXISTS", redis.keys.message + message) == 0


async def test_the_wish_of_the_recipient_stands_over_other_reasons(
    client: Client, redis: Redis
) -> None:
    answer = await client.send(list_unsubscribe=HOSTED)
    path, message = path_of(await mail_of(redis, answer)), answer.text_at("/id")
    await client.post("/suppressions", {"addresses": ["ada@example.com"]})
    await click(client, path)
    await click(client, path)
    assert ("ada@example.com", "transactional", "unsubscribed") in await suppressed(client)
    assert [kind for kind, _ in await told(client, message)].count("message.unsubscribed") == 1


async def test_who_was_taken_off_the_list_may_leave_again(client: Client, redis: Redis) -> None:
    answer = await client.send(list_unsubscribe=HOSTED)
    path, message = path_of(await mail_of(redis, answer)), answer.text_at("/id")
    await click(client, path)
    assert (await client.call("DELETE", "/suppressions/ada@example.com")).status == 204
    await click(client, path)
    assert len(await suppressed(client)) == 1
    assert [number for _, number in await told(client, message)] == [1, 2, 3]


def test_the_secret_is_not_shown_where_settings_are(settings: Settings) -> None:
    assert "5f5f" not in f"{settings!r} {settings.model_dump_json()}"
