"""Attachments that the messages of a batch share by reference."""

from __future__ import annotations

import base64

import pytest

from app.ids import MessageId
from app.main import create_app
from app.projects.keys import create_key
from app.settings import DkimSettings, RedisSettings, Settings
from app.spool.client import Redis
from tests.app.api.batches import (
    FILE,
    LIMITS,
    TERMS,
    claimed,
    files_of,
    memory,
    numbered,
    send,
    told,
)
from tests.app.api.client import MESSAGE, Client
from tests.app.api.conftest import served


@pytest.fixture
def settings(valkey_url: str) -> Settings:
    return Settings(
        redis=RedisSettings(url=valkey_url), api=LIMITS, dkim=DkimSettings(required=False)
    )


async def test_an_attachment_by_reference_arrives_as_its_own_would(
    client: Client, redis: Redis, settings: Settings
) -> None:
    own = {name: value for name, value in TERMS.items() if name != "id"}
    await send(
        client,
        {**MESSAGE, "attachments": [{"shared": "terms"}, {**own, "filename": "b.pdf"}]},
        attachments=[TERMS],
    )
    claim = await claimed(redis, settings)
    assert files_of(claim) == [("terms.pdf", FILE), ("b.pdf", FILE)]
    assert claim.message.size_bytes == len(claim.raw)


async def test_a_shared_mail_is_passed_on_as_a_mail(
    client: Client, redis: Redis, settings: Settings
) -> None:
    mail = base64.b64encode(b"Subject: first\r\n\r\n" + b"hello\r\n" * 5_000).decode()
    passed_on = {**TERMS, "content": mail, "content_type": "message/rfc822"}
    message = {**MESSAGE, "attachments": [{"shared": "terms"}]}
    await send(client, message, attachments=[passed_on])
    assert b"\r\n\r\nSubject: first\r\n" in (await claimed(redis, settings)).raw


async def test_a_shared_image_stands_inside_the_html(
    client: Client, redis: Redis, settings: Settings
) -> None:
    logo = {**TERMS, "id": "logo", "filename": "logo.png", "content_id": "logo"}
    message = {**MESSAGE, "html": '<img src="cid:logo">', "attachments": [{"shared": "logo"}]}
    await send(client, message, attachments=[TERMS, logo])
    claim = await claimed(redis, settings)
    assert b"Content-ID: <logo>" in claim.raw
    assert b"terms.pdf" not in claim.raw


async def test_a_file_that_many_messages_share_is_kept_once(client: Client, redis: Redis) -> None:
    messages = [{**each, "attachments": [{"shared": "terms"}]} for each in numbered(100)]
    await send(client, MESSAGE)
    before = await memory(redis)
    answer = await send(client, *messages, attachments=[TERMS])
    assert answer.at("/accepted") == 100
    part = len(FILE) * 4 // 3
    assert part < await memory(redis) - before < part + 100 * 8_000


async def test_messages_with_references_to_nothing_are_refused_alone(client: Client) -> None:
    answer = await send(
        client,
        {**MESSAGE, "attachments": [{"shared": "terms"}]},
        {**MESSAGE, "attachments": [{"shared": "therms"}]},
        {**MESSAGE, "attachments": [{"shared": 1}]},
        {**MESSAGE, "attachments": [{"shared": "terms", "filename": "a"}]},
        attachments=[TERMS],
    )
    assert told(answer) == ["ada@example.com", *["invalid_request"] * 3]
    refused = [answer.at(f"/results/{number}/problem/errors/0") for number in (1, 2, 3)]
    assert [(each["pointer"], each["code"]) for each in refused if isinstance(each, dict)] == [
        ("/attachments/0/shared", "unknown_attachment"),
        ("/attachments/0/shared", "wrong_type"),
        ("/attachments/0/filename", "unknown_field"),
    ]


async def test_a_single_message_has_nothing_to_refer_to(client: Client) -> None:
    answer = await client.send(attachments=[{"shared": "terms"}])
    assert answer.status == 422
    assert ("/attachments/0/shared", "unknown_field") in answer.refused


@pytest.mark.parametrize(
    ("attachments", "refused"),
    [
        ([TERMS, TERMS], [("/attachments/1/id", "duplicate")]),
        ([TERMS, {**TERMS, "id": ""}], [("/attachments/1/id", "too_short")]),
        ([{**TERMS, "content": "YQ"}], [("/attachments/0/content", "invalid_base64")]),
        ([{**TERMS, "content_type": "x"}], [("/attachments/0", "invalid_attachment")]),
        ([{"id": "a"}], None),
        ([1], [("/attachments/0", "wrong_type")]),
        ([{**TERMS, "id": str(n)} for n in range(4)], [("/attachments", "too_many")]),
    ],
)
async def test_a_bad_shared_attachment_refuses_the_batch(
    client: Client, attachments: list[object], refused: list[tuple[str, str]] | None
) -> None:
    answer = await send(client, MESSAGE, attachments=attachments)
    assert answer.status == 422
    assert refused is None or answer.refused == refused


async def test_many_references_to_a_large_file_are_refused_before_they_are_composed(
    client: Client,
) -> None:
    references = [{"shared": "terms"}] * 3
    large = {**TERMS, "content": base64.b64encode(bytes(240_000)).decode()}
    answer = await send(client, {**MESSAGE, "attachments": references}, attachments=[large])
    assert told(answer) == ["too_large"]


async def test_a_domain_without_a_key_is_refused_for_each_message(
    settings: Settings, redis: Redis
) -> None:
    strict = settings.model_copy(update={"dkim": DkimSettings(required=True)})
    key = await create_key(redis, "shop", "test")
    async with served(create_app(strict)) as client:
        answer = await send(client.with_key(key), MESSAGE, MESSAGE)
    assert told(answer) == ["invalid_request"] * 2
    assert answer.at("/results/1/problem/errors/0/code") == "domain_without_key"


async def test_bytes_of_messages_that_share_nothing_are_as_they_were(
    client: Client, redis: Redis, settings: Settings
) -> None:
    answer = await send(client, MESSAGE)
    claim = await claimed(redis, settings)
    assert claim.message.id == MessageId(answer.text_at("/results/0/message/id"))
    assert claim.raw.endswith(b"Good morning.\r\n")
