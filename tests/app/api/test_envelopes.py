"""Which return path each recipient has, whatever way its message comes."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from app.identity.returnpath import NoDomains, ReturnPaths
from app.ids import ProjectId
from app.settings import DkimSettings, RedisSettings, Settings
from app.settings.returnpath import ReturnPathSettings
from app.settings.rootkeys import SecretSettings
from app.settings.unsubscribing import UnsubscribeSettings
from tests.app.api.batches import send
from tests.app.api.client import MESSAGE, Client
from tests.app.api.test_raw import post

DOMAIN = "bounces.operator.example"
PAIR = ["ada@example.com", "bob@example.com"]
HOSTED = {"stream": "bulk", "list_unsubscribe": {"hosted": True}}
MERGED = {
    "text": "Dear {{ name }}",
    "recipients_data": {address: {"name": address} for address in PAIR},
}


@pytest.fixture
def settings(valkey_url: str) -> Settings:
    return Settings(
        redis=RedisSettings(url=valkey_url),
        dkim=DkimSettings(required=False),
        secrets=SecretSettings(key=SecretStr("5f" * 32)),
        unsubscribe=UnsubscribeSettings(base_url="https://mail.shop.example"),
        return_path=ReturnPathSettings(domain=DOMAIN),
    )


async def places_of(client: Client, message: str, settings: Settings) -> list[tuple[str, int]]:
    """Return of each recipient which message and place its return path tells of."""
    found = await client.get(f"/messages/{message}")
    recipients = found.at("/recipients")
    assert isinstance(recipients, list)
    tokens = ReturnPaths.of(settings, NoDomains()).tokens
    told: list[tuple[str, int]] = []
    for recipient in recipients:
        local, _, domain = str(recipient["return_path"]).partition("@")
        origin = tokens.read(local, [ProjectId("shop")])
        assert domain == DOMAIN
        assert origin is not None
        assert tokens.is_marked(origin, recipient["address"])
        told.append((origin.message, origin.index))
    return told


@pytest.mark.parametrize("fields", [{}, HOSTED, MERGED])
async def test_each_recipient_of_a_message_has_its_own(
    client: Client, settings: Settings, fields: dict[str, object]
) -> None:
    answer = await client.post("/messages", {**MESSAGE, "to": PAIR, **fields})
    assert answer.status == 202, answer.body
    message = answer.text_at("/id")
    assert await places_of(client, message, settings) == [(message, 0), (message, 1)]


async def test_those_of_a_batch_have_theirs(client: Client, settings: Settings) -> None:
    answer = await send(client, *({**MESSAGE, "to": PAIR, **each} for each in ({}, HOSTED, MERGED)))
    assert answer.at("/accepted") == 3, answer.body
    for place in range(3):
        message = answer.text_at(f"/results/{place}/message/id")
        assert await places_of(client, message, settings) == [(message, 0), (message, 1)]


async def test_those_of_a_finished_mail_have_theirs_unless_the_caller_names_one(
    client: Client, settings: Settings
) -> None:
    answer = await post(client, "rcpt_to=ada@example.com&rcpt_to=bob@example.com")
    message = answer.text_at("/id")
    assert await places_of(client, message, settings) == [(message, 0), (message, 1)]
    for chosen in ("bounces@shop.example", "hello@shop.example"):
        answer = await post(client, f"rcpt_to=ada@example.com&mail_from={chosen}")
        found = await client.get(f"/messages/{answer.text_at('/id')}")
        assert found.at("/recipients/0/return_path") == found.at("/mail_from") == chosen
