"""Messages made from templates: what arrives in the store, and what is refused."""

from __future__ import annotations

import email
from email import policy
from email.message import EmailMessage

import pytest

from app.spool.client import Redis
from app.spool.replies import as_bytes
from tests.app.api.client import Answer, Client
from tests.app.api.test_templates import FIELDS, WELCOME

ADA: dict[str, object] = {"name": "Ada <b>", "tips": ["one"], "plan": {}}


async def made(client: Client, **fields: object) -> Answer:
    request = {"from": "hello@shop.example", "to": "ada@example.com", "template": "welcome"}
    return await client.post("/messages", request | fields)


async def mail(redis: Redis, answer: Answer) -> EmailMessage:
    assert answer.status == 202, answer.body
    key = redis.keys.message + answer.text_at("/id")
    raw = as_bytes(await redis.call("HGET", key, "raw"))
    return email.message_from_bytes(raw, policy=policy.default)


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    text = found.get_content()
    assert isinstance(text, str)
    return text.strip()


async def test_mail_is_made_from_the_template_with_its_variables(
    client: Client, redis: Redis
) -> None:
    await client.post("/templates", WELCOME)
    sent = await mail(redis, answer := await made(client, variables=ADA))
    assert sent["Subject"] == "Welcome, Ada <b>"
    assert part(sent, "html") == "<p>Hello Ada &lt;b&gt;, you chose nothing.</p>"
    assert part(sent, "plain") == "Hello Ada <b>. one"
    shown = await client.get(f"/messages/{answer.text_at('/id')}")
    assert shown.at("/subject") == "Welcome, Ada <b>"


async def test_version_and_subject_can_be_chosen_for_a_message(
    client: Client, redis: Redis
) -> None:
    await client.post("/templates", WELCOME)
    await client.post("/templates/welcome/versions", {**FIELDS, "subject": "Second"})
    for fields, subject in (
        ({}, "Second"),
        ({"template": {"name": "welcome", "version": 1}}, "Welcome, Ada <b>"),
        ({"subject": "Own for {{ name|upper }}"}, "Own for ADA <B>"),
    ):
        sent = await mail(redis, await made(client, **{"variables": ADA, **fields}))
        assert sent["Subject"] == subject


async def test_merge_takes_its_text_from_the_template(client: Client) -> None:
    await client.post("/templates", WELCOME)
    data = {"ada@example.com": {"name": "Ada"}, "bob@example.com": {"name": "Bob"}}
    both = ["ada@example.com", "bob@example.com"]
    sent = await made(client, to=both, variables={"tips": [], "plan": {}}, recipients_data=data)
    assert sent.status == 202
    del data["bob@example.com"]
    lacking = await made(client, to=both, variables={"tips": [], "plan": {}}, recipients_data=data)
    assert lacking.refused == [("/recipients_data/bob@example.com/name", "missing_variable")]


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"template": "nothing"}, [("/template", "template_not_found")]),
        ({"template": {"name": "welcome", "version": 9}}, [("/template", "template_not_found")]),
        ({"template": {"name": "welcome", "version": 0}}, [("/template/version", "out_of_range")]),
        ({"template": {"name": "welcome", "v": 1}}, [("/template/v", "unknown_field")]),
        ({"template": "a/b"}, [("/template", "invalid_value")]),
        ({"template": 5}, [("/template", "wrong_type")]),
        ({"html": "<p>", "text": "a"}, [("/html", "excluded"), ("/text", "excluded")]),
        ({"variables": {}},
         [(f"/variables/{name}", "missing_variable") for name in ("name", "plan", "tips")]),
        ({"variables": [1]}, [("/variables", "wrong_type")]),
        ({"variables": {**ADA, "name": "Ada\r\nBcc: eve@a.example"}},
         [("/variables/name", "control_character")]),
        ({"variables": {**ADA, "name": "\ud800"}}, [("/variables", "lone_surrogate")]),
    ],
)  # fmt: skip
async def test_message_that_cannot_be_made_is_refused_and_nothing_is_kept(
    client: Client, redis: Redis, fields: dict[str, object], refused: list[tuple[str, str]]
) -> None:
    await client.post("/templates", WELCOME)
    before = await redis.call("DBSIZE")
    answer = await made(client, **{"variables": ADA, **fields})
    assert (answer.status, sorted(answer.refused)) == (422, refused)
    assert await redis.call("DBSIZE") == before


async def test_template_of_another_project_does_not_exist(client: Client, stranger: Client) -> None:
    await client.post("/templates", WELCOME)
    assert (await made(client, variables=ADA)).status == 202
    answer = await made(stranger, variables=ADA)
    assert answer.refused == [("/template", "template_not_found")]


async def test_repetition_gets_its_first_answer_though_the_template_is_gone(
    client: Client,
) -> None:
    await client.post("/templates", WELCOME)
    request = {
        "from": "a@shop.example",
        "to": "b@example.com",
        "template": "welcome",
        "variables": ADA,
    }
    first = await client.post("/messages", request, {"Idempotency-Key": "k"})
    await client.call("DELETE", "/templates/welcome")
    again = await client.post("/messages", request, {"Idempotency-Key": "k"})
    assert (again.status, again.at("/id")) == (202, first.at("/id"))
