"""Dry runs: refused exactly where sending is, and nothing is kept; what no worker tells is said to be unknown."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from email import message_from_string, policy
from pathlib import Path

import pytest
import pytest_asyncio

from app.mail.dkim import Algorithm, generate_pem
from app.main import create_app
from app.projects.keys import Scope, create_key
from app.settings import ApiSettings, DkimSettings, RedisSettings, Settings
from app.settings.delivering import DnsSettings
from app.settings.unsubscribing import UnsubscribeSettings
from app.spool.client import Redis, Reply
from app.spool.replies import as_bytes, as_list
from tests.app.api.client import MESSAGE, Answer, Client
from tests.app.api.conftest import served
from tests.app.api.test_bad_input import BAD_BODIES, BAD_FORMS, JSON, REFUSED_FIELDS
from tests.fakes.valkey import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAIL = b"From: hello@shop.example\r\nSubject: Hello\r\n\r\nGood morning.\r\n"
UNSUBSCRIBE = {"url": "https://shop.example/u/1"}
FORM = {"Content-Type": "message/rfc822"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """Connections to the store, under a name of its own."""
    async with Redis.connect(RedisSettings(url=valkey.url, prefix="dry-run")) as redis:
        yield redis


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(
    valkey: ValkeyServer, redis: Redis, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    """A client of an API that has the limits of the tests of bad input, a DKIM key, and no worker."""
    keys = tmp_path_factory.mktemp("keys")
    (keys / "shop.example").mkdir()
    (keys / "shop.example" / "s1.pem").write_bytes(generate_pem(Algorithm.ED25519))
    key = await create_key(redis, "shop", "test")
    async with served(create_app(_settings(valkey, keys))) as client:
        yield client.with_key(key)


def _settings(valkey: ValkeyServer, keys: Path) -> Settings:
    return Settings(
        redis=RedisSettings(url=valkey.url, prefix="dry-run"),
        api=ApiSettings(
            max_body_bytes=1_000_000, max_message_bytes=20_000, max_recipients=5, max_attachments=2
        ),
        dkim=DkimSettings(required=False, directory=keys),
        dns=DnsSettings(dry_run=timedelta(milliseconds=10)),
    )


async def kept(redis: Redis) -> dict[bytes, Reply]:
    """Return all that Redis holds, but for what questions to workers leave for a while."""
    names = [as_bytes(name) for name in as_list(await redis.call("KEYS", "dry-run*"))]
    passing = (b"inquiry:", b"arq:", b"queue")
    return {
        name: await redis.call("DUMP", name)
        for name in sorted(names)
        if not any(each in name for each in passing)
    }


async def rehearse(client: Client, **fields: object) -> Answer:
    fields = {"from" if name == "sender" else name: value for name, value in fields.items()}
    return await client.post("/messages?dry_run=true", {**MESSAGE, **fields})


def codes(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    warnings = answer.at("/warnings")
    assert isinstance(warnings, list)
    return [each["code"] for each in warnings]


def _name(value: object) -> str:
    return json.dumps(value)[:70] if isinstance(value, dict) else "-"


@pytest.mark.parametrize(("fields", "refused"), REFUSED_FIELDS, ids=_name)
async def test_it_refuses_the_fields_that_sending_refuses(
    client: Client, redis: Redis, fields: dict[str, object], refused: list[tuple[str, str]]
) -> None:
    before = await kept(redis)
    answer = await rehearse(client, **fields)
    assert (answer.status, answer.refused) == (422, refused)
    assert answer.body == (await client.send(**fields)).body
    assert await kept(redis) == before


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_it_refuses_the_bodies_that_sending_refuses(client: Client, name: str) -> None:
    body, status, code = BAD_BODIES[name]
    answer = await client.call("POST", "/messages?dry_run=true", body=body, headers=JSON)
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(("headers", "status", "code"), BAD_FORMS, ids=str)
async def test_it_refuses_the_forms_that_sending_refuses(
    client: Client, headers: Mapping[str, str], status: int, code: str
) -> None:
    body = json.dumps(MESSAGE).encode()
    answer = await client.call("POST", "/messages?dry_run=true", body=body, headers=headers)
    assert (answer.status, answer.code) == (status, code)


async def test_it_keeps_nothing_and_tells_what_would_be_sent(client: Client, redis: Redis) -> None:
    before = await kept(redis)
    answer = await rehearse(
        client, to=["Ada <ada@example.com>", "ben@example.org"], bcc="eve@example.com"
    )
    assert await kept(redis) == before
    assert codes(answer) == ["not_looked_up", "not_looked_up"]
    assert answer.at("/from") == "hello@shop.example"
    assert answer.at("/recipients/2") == {
        "address": "eve@example.com",
        "field": "bcc",
        "domain": "example.com",
        "status": "would_be_queued",
    }
    assert answer.at("/domains/1") == {
        "domain": "example.org",
        "mx": None,
        "tls_policy": None,
        "problem": None,
    }
    assert answer.at("/alignment/dkim_domains") == ["shop.example"]
    assert answer.at("/alignment/dkim_aligned") is True
    assert answer.at("/alignment/looked_up") is False
    mail = message_from_string(answer.text_at("/copies/0/raw"), policy=policy.default)
    assert (mail["Subject"], mail["Bcc"]) == ("Hello", None)
    assert "d=shop.example" in mail["DKIM-Signature"]
    assert len(answer.text_at("/copies/0/raw")) == answer.at("/size") == answer.at("/copies/0/size")


async def test_it_leaves_the_idempotency_key_to_sending(client: Client) -> None:
    headers = {"Idempotency-Key": "dry-1"}
    for _ in range(2):
        answer = await client.post("/messages?dry_run=true", MESSAGE, headers)
        assert answer.status == 200
    other = {**MESSAGE, "subject": "Another"}
    sent = await client.post("/messages?dry_run=false", other, headers)
    assert (sent.status, "Idempotent-Replayed" in sent.headers) == (202, False)
    assert (await client.post("/messages?dry_run=true", MESSAGE, headers)).status == 200
    bad = await client.post("/messages?dry_run=true", MESSAGE, {"Idempotency-Key": "\u00fc"})
    assert (bad.status, bad.code) == (400, "invalid_header")


@pytest.mark.parametrize(
    "query",
    ["dry_run", "dry_run=", "dry_run=1", "dry_run=True", "dry_run=true&dry_run=true", "dryrun=true",
     "dry-run=true", "x=1", "dry_run=true&x", "%64ry_run=yes", "dry_run=false&dry_run=true"],
)  # fmt: skip
async def test_a_misspelt_parameter_never_sends(client: Client, redis: Redis, query: str) -> None:
    before = await kept(redis)
    answer = await client.post(f"/messages?{query}", MESSAGE)
    assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert await kept(redis) == before


async def test_the_parameter_may_be_encoded(client: Client) -> None:
    assert (await client.post("/messages?&%64ry_run=%74rue&", MESSAGE)).status == 200


@pytest.mark.parametrize("query", ["dry_run=true", "dry_run=yes", "x=1"])
async def test_a_batch_is_not_rehearsed(client: Client, redis: Redis, query: str) -> None:
    before = await kept(redis)
    answer = await client.post(f"/messages/batch?{query}", {"messages": [MESSAGE]})
    assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert query != "dry_run=true" or "one by one" in answer.text_at("/detail")
    assert await kept(redis) == before


async def test_it_needs_the_scope_to_send(client: Client, redis: Redis) -> None:
    reader = client.with_key(await create_key(redis, "shop", "reader", frozenset({Scope.READ})))
    assert (await rehearse(reader)).code == "forbidden"
    assert (await rehearse(client.with_key(None))).code == "unauthenticated"


async def test_it_tells_who_is_suppressed(client: Client) -> None:
    entry = {"addresses": ["Gone@example.net"], "stream": "transactional"}
    assert (await client.post("/suppressions", entry)).status in (200, 201)
    answer = await rehearse(client, to=["gone@example.net", "ada@example.com"])
    assert answer.at("/recipients/0/status") == "suppressed"
    assert answer.at("/recipients/1/status") == "would_be_queued"
    bulk = await rehearse(
        client, to="gone@example.net", stream="bulk", list_unsubscribe=UNSUBSCRIBE
    )
    assert bulk.at("/recipients/0/status") == "would_be_queued"


async def test_each_recipient_of_a_merge_has_a_copy(client: Client) -> None:
    data = {"ada@example.com": {"name": "Ada"}, "ben@example.com": {"name": "Ben"}}
    answer = await rehearse(
        client, to=list(data), text="Hello {{ name }}", recipients_data=data, cc=[]
    )
    for number, name in enumerate(("Ada", "Ben")):
        assert answer.at(f"/copies/{number}/recipient") == f"{name.lower()}@example.com"
        assert f"Hello {name}" in answer.text_at(f"/copies/{number}/raw")
    assert "value_left" not in codes(answer)
    unfilled = await rehearse(client, text="Hello {{ name }}", to="ada@example.com")
    assert codes(unfilled)[0] == "value_left"


async def test_remarks_on_content_name_the_field(client: Client) -> None:
    answer = await rehearse(client, html="<a href='/x'>Buy it here now</a>", subject="")
    found = answer.at("/warnings")
    assert isinstance(found, list)
    assert [(each["code"], each["pointer"]) for each in found][:2] == [
        ("subject_empty", "/subject"),
        ("link_relative", "/html"),
    ]


async def test_mail_without_a_key_is_told_to_be_unsigned(client: Client) -> None:
    answer = await rehearse(client, sender="hello@other.example")
    assert "not_signed" in codes(answer)


async def test_mail_to_many_wants_a_way_to_unsubscribe(
    client: Client, valkey: ValkeyServer, tmp_path: Path
) -> None:
    lenient = UnsubscribeSettings(required_for_bulk=False)
    settings = _settings(valkey, tmp_path).model_copy(update={"unsubscribe": lenient})
    async with served(create_app(settings)) as other:
        lax = other.with_key(client.key)
        assert "no_unsubscribe" in codes(await rehearse(lax, stream="bulk"))
        answer = await rehearse(lax, stream="bulk", list_unsubscribe=UNSUBSCRIBE)
        assert "no_unsubscribe" not in codes(answer)


async def test_a_finished_mail_is_rehearsed_too(client: Client, redis: Redis) -> None:
    before = await kept(redis)
    path = "/messages/raw?rcpt_to=ada+x@example.com&dry_run=true"
    answer = await client.call("POST", path, body=MAIL, headers=FORM)
    assert codes(answer) == ["not_looked_up", "not_looked_up"]
    assert answer.at("/recipients/0/address") == "ada+x@example.com"
    assert answer.at("/warnings/1/pointer") == "/rcpt_to"
    assert answer.text_at("/copies/0/raw").endswith("Good morning.\r\n")
    binary = await client.call("POST", path, body=MAIL + b"\xff\r\n", headers=FORM)
    assert binary.at("/copies/0/encoding") == "base64"
    assert base64.b64decode(binary.text_at("/copies/0/raw")).endswith(b"\xff\r\n")
    for query in ("rcpt_to=a@b.example&dry_run=yes", "rcpt_to=a@b.example&dryrun=true"):
        bad = await client.call("POST", f"/messages/raw?{query}", body=MAIL, headers=FORM)
        assert bad.status in (400, 422)
    assert await kept(redis) == before


async def test_a_finished_mail_is_refused_where_sending_refuses_it(client: Client) -> None:
    for query, body in (("", MAIL), ("rcpt_to=x", MAIL), ("rcpt_to=a@b.example", b"x")):
        answers = [
            await client.call("POST", f"/messages/raw?{query}{more}", body=body, headers=FORM)
            for more in ("", "&dry_run=true")
        ]
        assert answers[0].status == answers[1].status == 422
        assert answers[0].body == answers[1].body


async def test_copies_are_shown_until_they_are_too_many_bytes(
    client: Client, valkey: ValkeyServer, tmp_path: Path
) -> None:
    large = ApiSettings(max_body_bytes=1_000_000, max_message_bytes=9_000_000)
    settings = _settings(valkey, tmp_path).model_copy(update={"api": large})
    to = [f"ada{number}@example.com" for number in range(10)]
    files = [{"filename": "a.bin", "content": "A" * 600_000}]
    async with served(create_app(settings)) as other:
        answer = await rehearse(
            other.with_key(client.key), to=to, attachments=files, recipients_data={}
        )
        assert answer.text_at("/copies/0/raw")
        assert answer.at("/copies/9/raw") is None
        assert answer.at("/copies/9/size") == answer.at("/size")


async def test_a_merge_shows_its_first_copies(
    client: Client, valkey: ValkeyServer, tmp_path: Path
) -> None:
    more = ApiSettings(max_recipients=60)
    settings = _settings(valkey, tmp_path).model_copy(update={"api": more})
    to = [f"ada@d{number}.example" for number in range(60)]
    async with served(create_app(settings)) as other:
        answer = await rehearse(
            other.with_key(client.key),
            to=to,
            text="{{ x }}",
            variables={"x": "Hi"},
            recipients_data={},
        )
        for name, count in (("copies", 10), ("recipients", 60), ("domains", 60)):
            found = answer.at(f"/{name}")
            assert isinstance(found, list)
            assert len(found) == count
        (warning,) = [text for text in _details(answer) if "the way to" in text]
        assert "and 55 more" in warning


async def test_a_finished_mail_may_be_a_header_alone(client: Client) -> None:
    path = "/messages/raw?rcpt_to=ada@example.com&dry_run=true"
    body = b"From: hello@shop.example\r\nSubject: Re: x\r\n References: none\r\n"
    answer = await client.call("POST", path, body=body, headers=FORM)
    assert codes(answer)[0] == "subject_reply"


def _details(answer: Answer) -> list[str]:
    warnings = answer.at("/warnings")
    assert isinstance(warnings, list)
    return [each["detail"] for each in warnings]
