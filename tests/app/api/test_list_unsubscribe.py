"""The field `list_unsubscribe`: what mails offer with it, and what mail to many must offer."""

from __future__ import annotations

import pytest

from app.main import create_app
from app.settings import Settings
from app.settings.unsubscribing import UnsubscribeSettings
from app.spool.client import Redis
from app.spool.replies import as_bytes
from tests.app.api.client import Client
from tests.app.api.conftest import served
from tests.app.api.links import HOSTED, OWN_HEADERS, PAIR, URL, click, mail_of, path_of, suppressed


@pytest.mark.parametrize(
    ("wanted", "written"),
    [
        ({"url": URL}, f"<{URL}>"),
        (
            {"url": URL, "mailto": "leave@shop.example"},
            f"<{URL}>, <mailto:leave@shop.example>",
        ),
        ({"mailto": "leave@shop.example"}, "<mailto:leave@shop.example>"),
    ],
)
async def test_the_mail_says_where_to_unsubscribe(
    client: Client, redis: Redis, wanted: dict[str, object], written: str
) -> None:
    mail = await mail_of(redis, await client.send(list_unsubscribe=wanted))
    assert mail["List-Unsubscribe"] == written
    assert mail["List-Unsubscribe-Post"] == (PAIR.decode() if "url" in wanted else None)


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"list_unsubscribe": {}}, [("/list_unsubscribe", "required")]),
        ({"list_unsubscribe": {"hosted": False}}, [("/list_unsubscribe", "required")]),
        ({"list_unsubscribe": "hosted"}, [("/list_unsubscribe", "wrong_type")]),
        ({"list_unsubscribe": {"hosted": "yes"}}, [("/list_unsubscribe/hosted", "wrong_type")]),
        ({"list_unsubscribe": {"link": URL}}, [("/list_unsubscribe/link", "unknown_field")]),
        (
            {"list_unsubscribe": {"url": URL, "hosted": True}},
            [("/list_unsubscribe/url", "excluded")],
        ),
        (
            {"list_unsubscribe": {"url": "http://shop.example/u"}},
            [("/list_unsubscribe/url", "invalid_url")],
        ),
        (
            {"list_unsubscribe": {"url": f"{URL}\r\nBcc: eve@evil.example"}},
            [("/list_unsubscribe/url", "control_character")],
        ),
        (
            {"list_unsubscribe": {"mailto": "leave@localhost"}},
            [("/list_unsubscribe/mailto", "invalid_address")],
        ),
        (
            {"list_unsubscribe": HOSTED, "headers": OWN_HEADERS},
            [
                ("/headers/List-Unsubscribe", "excluded"),
                ("/headers/List-Unsubscribe-Post", "excluded"),
            ],
        ),
        ({"stream": "bulk"}, [("/list_unsubscribe", "missing_list_unsubscribe")]),
        (
            {"stream": "bulk", "list_unsubscribe": {"mailto": "leave@shop.example"}},
            [("/list_unsubscribe", "missing_list_unsubscribe")],
        ),
        (
            {"stream": "bulk", "headers": {"List-Unsubscribe": f"<{URL}>"}},
            [("/list_unsubscribe", "missing_list_unsubscribe")],
        ),
    ],
    ids=str,
)
async def test_what_cannot_be_offered_is_refused(
    client: Client, fields: dict[str, object], refused: list[tuple[str, str]]
) -> None:
    answer = await client.send(**fields)
    assert answer.code == "invalid_request"
    assert answer.refused == refused


@pytest.mark.parametrize(
    "fields",
    [
        {"list_unsubscribe": HOSTED},
        {"list_unsubscribe": {"url": URL}},
        {"headers": OWN_HEADERS},
        {"headers": {name.lower(): value.upper() for name, value in OWN_HEADERS.items()}},
    ],
    ids=str,
)
async def test_mail_to_many_that_offers_one_click_is_accepted(
    client: Client, fields: dict[str, object]
) -> None:
    assert (await client.send(stream="bulk", **fields)).status == 202


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (OWN_HEADERS, 202),
        ({}, 422),
        ({"List-Unsubscribe": f"<{URL}>"}, 422),
        ({**OWN_HEADERS, "List-Unsubscribe": "<mailto:leave@shop.example>"}, 422),
    ],
    ids=str,
)
async def test_a_finished_mail_to_many_has_to_offer_it_too(
    client: Client, lines: dict[str, str], status: int
) -> None:
    written = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    answer = await client.call(
        "POST",
        "/messages/raw?rcpt_to=ada@example.com&stream=bulk",
        body=f"From: hello@shop.example\r\n{written}\r\nHello.\r\n".encode(),
        headers={"Content-Type": "message/rfc822"},
    )
    assert answer.status == status, answer.body
    if status == 422:
        assert answer.refused == [("/header/list-unsubscribe", "missing_list_unsubscribe")]


async def test_the_operator_may_allow_mail_to_many_without_and_has_to_name_a_url_for_links(
    settings: Settings, client: Client
) -> None:
    bare = UnsubscribeSettings(required_for_bulk=False)
    async with served(create_app(settings.model_copy(update={"unsubscribe": bare}))) as other:
        other = other.with_key(client.key)
        assert (await other.send(stream="bulk")).status == 202
        answer = await other.send(list_unsubscribe=HOSTED)
        assert answer.refused == [("/list_unsubscribe/hosted", "not_configured")]
        assert b"PILLARBOX_UNSUBSCRIBE__BASE_URL" in answer.body


async def test_each_recipient_gets_a_link_of_its_own_in_a_copy_of_its_own(
    client: Client, redis: Redis
) -> None:
    answer = await client.send(
        to=["Ada <ada@example.com>", "bob@example.net"],
        cc="cat@example.com",
        bcc="dan@example.com",
        list_unsubscribe=HOSTED,
    )
    mails = [await mail_of(redis, answer, f"raw{index}") for index in range(4)]
    paths = [path_of(mail) for mail in mails]
    assert len(set(paths)) == 4
    for mail in mails:
        assert (mail["To"], mail["Cc"]) == (
            "Ada <ada@example.com>, bob@example.net",
            "cat@example.com",
        )
        assert "dan@" not in mail.as_string()
    assert len({mail["Message-ID"] for mail in mails}) == 1
    assert (await click(client, paths[3])).status == 200
    assert await suppressed(client) == [("dan@example.com", "transactional", "unsubscribed")]


async def test_links_stand_in_the_mails_that_data_makes_of_one_message(
    client: Client, redis: Redis
) -> None:
    answer = await client.send(
        to=["ada@example.com", "bob@example.net"],
        subject="For {{ name }}",
        recipients_data={"ada@example.com": {"name": "Ada"}, "bob@example.net": {"name": "Bob"}},
        stream="bulk",
        list_unsubscribe=HOSTED,
    )
    mails = [await mail_of(redis, answer, f"raw{index}") for index in range(2)]
    assert [mail["Subject"] for mail in mails] == ["For Ada", "For Bob"]
    await click(client, path_of(mails[1]))
    assert await suppressed(client) == [("bob@example.net", "bulk", "unsubscribed")]


async def test_copies_that_are_too_large_together_are_refused(client: Client) -> None:
    to = [f"user{number}@example.com" for number in range(100)]
    answer = await client.send(to=to, text="x" * 6_000, list_unsubscribe=HOSTED)
    assert answer.code == "too_large"
    assert (await client.send(to=to, text="x" * 6_000)).status == 202


async def test_messages_of_a_batch_get_links_too(client: Client, redis: Redis) -> None:
    one = {"from": "hello@shop.example", "text": "x", "stream": "bulk", "list_unsubscribe": HOSTED}
    shared = [{"id": "terms", "filename": "terms.txt", "content": "dGVybXM="}]
    messages = [
        {**one, "to": "ada@example.com"},
        {**one, "to": "bob@example.net", "list_unsubscribe": None},
        {
            **one,
            "to": ["ada@example.com", "cat@example.com"],
            "attachments": [{"shared": "terms"}],
        },
    ]
    answer = await client.post("/messages/batch", {"attachments": shared, "messages": messages})
    assert (answer.at("/accepted"), answer.at("/refused")) == (2, 1), answer.body
    assert answer.at("/results/1/problem/errors/0/code") == "missing_list_unsubscribe"
    for number, fields in ((0, ("raw",)), (2, ("raw0", "raw1"))):
        key = redis.keys.message + answer.text_at(f"/results/{number}/message/id")
        for field in fields:
            kept = as_bytes(await redis.call("HGET", key, field))
            assert kept.replace(b":\r\n ", b": ").count(b"\r\nList-Unsubscribe: <https://") == 1
