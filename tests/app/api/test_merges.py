"""Messages with data for each recipient, as clients send and see them."""

from __future__ import annotations

from app.spool.client import Redis
from app.spool.replies import as_bytes
from tests.app.api.client import Client

TO = ["Ada <ada@example.com>", "Bob <bob@example.net>", "ada@example.com"]
MERGE: dict[str, object] = {
    "to": TO,
    "subject": "Hello {{ name }}",
    "text": "{{ greeting }} {{ name }}",
    "variables": {"greeting": "Dear", "name": "friend"},
    "recipients_data": {"ada@EXAMPLE.com": {"name": "Ada"}},
}


async def copy(redis: Redis, message: str, index: int) -> bytes:
    return as_bytes(await redis.call("HGET", redis.keys.message + message, f"raw{index}"))


async def test_a_merge_is_one_message_with_all_its_recipients(client: Client) -> None:
    sent = await client.send(**MERGE)
    assert sent.status == 202
    assert [sent.text_at(f"/recipients/{n}/address") for n in range(2)] == [
        "ada@example.com",
        "bob@example.net",
    ]
    found = await client.get(f"/messages/{sent.text_at('/id')}")
    assert found.text_at("/subject") == "Hello {{ name }}"
    assert [found.text_at(f"/recipients/{n}/status") for n in range(2)] == ["queued", "queued"]
    events = await client.get(f"/messages/{sent.text_at('/id')}/events")
    assert [events.text_at(f"/data/{n}/data/address") for n in range(2)] == [
        "ada@example.com",
        "bob@example.net",
    ]


async def test_each_recipient_gets_a_copy_that_names_it_alone(client: Client, redis: Redis) -> None:
    message = (await client.send(**MERGE)).text_at("/id")
    ada, bob = [await copy(redis, message, index) for index in range(2)]
    assert b"To: Ada <ada@example.com>\r\nSubject: Hello Ada\r\n" in ada
    assert b"\r\n\r\nDear Ada" in ada
    assert b"To: Bob <bob@example.net>\r\nSubject: Hello friend\r\n" in bob
    assert b"bob@example.net" not in ada
    assert b"ada@example.com" not in bob


async def test_a_repeated_merge_is_accepted_once(client: Client) -> None:
    headers = {"Idempotency-Key": "news-7"}
    document = {"from": "shop@shop.example", **MERGE}
    first, again = [await client.post("/messages", document, headers) for _ in range(2)]
    assert (first.status, again.status) == (202, 202)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.body == first.body


async def test_an_empty_object_asks_for_a_mail_for_each(client: Client, redis: Redis) -> None:
    sent = await client.send(to=TO, subject="The {{ 'same' }}", recipients_data={})
    found = await client.get(f"/messages/{sent.text_at('/id')}")
    assert found.text_at("/subject") == "The same"
    assert b"To: Bob <bob@example.net>\r\n" in await copy(redis, sent.text_at("/id"), 1)


async def test_braces_are_text_where_no_variables_are_given(client: Client, redis: Redis) -> None:
    message = (await client.send(subject="{{ name }}", text="{% if %}")).text_at("/id")
    raw = as_bytes(await redis.call("HGET", redis.keys.message + message, "raw"))
    assert b"Subject: {{ name }}\r\n" in raw
    assert raw.endswith(b"\r\n\r\n{% if %}\r\n")


async def test_all_copies_together_have_the_limit_of_a_message(client: Client) -> None:
    text = "{{ n }} " + "x" * 200_000
    addresses = [f"user{number}@example.org" for number in range(3)]
    variables = {"n": 1}
    enough = await client.send(to=addresses[:2], text=text, variables=variables, recipients_data={})
    assert enough.status == 202
    refused = await client.send(to=addresses, text=text, variables=variables, recipients_data={})
    assert (refused.status, refused.code) == (413, "too_large")
    assert "fewer recipients" in refused.text_at("/detail")


async def test_a_merge_may_have_as_many_recipients_as_a_message(client: Client) -> None:
    addresses = [f"user{number}@example.org" for number in range(100)]
    data = {address: {"name": address.partition("@")[0]} for address in addresses}
    sent = await client.send(to=addresses, subject="{{ name }}", recipients_data=data)
    assert sent.status == 202
    assert sent.text_at("/recipients/99/address") == "user99@example.org"
