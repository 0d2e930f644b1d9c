"""Sending a message, and reading what is known of it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from app.api.answers.history import AttemptOut, EventList
from app.api.answers.messages import MessageOut
from app.events import AttemptRecord, Category, Delivery, Event, EventRecord, EventType, Peer
from app.ids import EventId, MessageId, ProjectId, RecipientId
from app.mail.reply import Reply
from app.messages import MessageView, RecipientState, Status
from app.projects.keys import Scope, create_key
from app.settings import Settings
from app.spool.client import Redis
from app.spool.scripts import Scripts
from app.spool.store import Store
from app.wire import event_bytes
from tests.app.api.client import MESSAGE, Client
from tests.app.api.refused_content import AMP
from tests.app.mail.mime.calendars import CALENDAR
from tests.fakes.waiting import eventually


async def test_accepted_message_is_answered_with_its_recipients(client: Client) -> None:
    answer = await client.send(
        to=["Ada <ada@example.com>", {"address": "grace@EXAMPLE.org", "name": "Grace, R. Adm."}],
        cc="cc@example.com",
        bcc={"address": "bcc@example.com", "name": None},
    )
    assert answer.status == 202
    unique = answer.text_at("/id").removeprefix("msg_")
    assert answer.at("/recipients") == [
        {"id": f"rcp_{unique}_{number}", "address": address, "field": field, "status": "queued"}
        for number, (address, field) in enumerate(
            [
                ("ada@example.com", "to"),
                ("grace@example.org", "to"),
                ("cc@example.com", "cc"),
                ("bcc@example.com", "bcc"),
            ]
        )
    ]


async def test_message_can_be_read_by_its_project(client: Client) -> None:
    sent = await client.send(tags=["welcome"], metadata={"order": "1815"}, bcc="b@example.com")
    found = await client.get(f"/messages/{sent.text_at('/id')}")
    assert found.status == 200
    assert found.at("/from") == "hello@shop.example"
    assert found.at("/subject") == "Hello"
    assert found.at("/tags") == ["welcome"]
    assert found.at("/metadata") == {"order": "1815"}
    assert found.at("/recipients/1/field") == "bcc"
    assert found.at("/recipients/0/attempts") == 0
    assert found.at("/recipients/0/last") is None
    assert found.text_at("/created_at") == sent.text_at("/created_at")
    assert datetime.fromisoformat(found.text_at("/expires_at")) > datetime.now(UTC)


async def test_events_of_a_message_are_listed_in_order(client: Client) -> None:
    sent = await client.send(to=["a@example.com", "b@example.com"])
    events = await client.get(f"/messages/{sent.text_at('/id')}/events")
    assert [events.at(f"/data/{n}/data/sequence") for n in (0, 1)] == [1, 2]
    assert events.at("/data/0/type") == "message.queued"
    assert events.at("/data/1/data/address") == "b@example.com"


async def test_message_without_attempts_has_an_empty_list(client: Client) -> None:
    sent = await client.send()
    attempts = await client.get(f"/messages/{sent.text_at('/id')}/attempts")
    assert (attempts.status, attempts.at("/data")) == (200, [])


def test_listed_event_is_byte_for_byte_what_webhooks_carry() -> None:
    moment = datetime(2030, 1, 31, 9, 30, tzinfo=UTC)
    delivery = Delivery(
        category=Category.MAILBOX_FULL,
        reply=Reply(452, "4.2.2", "over quota"),
        peer=Peer("mx.example.com", "192.0.2.1", "TLSv1.3"),
        text="",
        final=False,
        next_attempt_at=moment + timedelta(minutes=5),
    )
    for told in (delivery, None):
        record = EventRecord(
            id=EventId("evt_1"),
            type=EventType.DEFERRED,
            timestamp=moment,
            message=MessageId("msg_1"),
            recipient=RecipientId("rcp_1_0"),
            address="ada@example.com",
            tags=("a",),
            metadata={"b": "c"},
            delivery=told,
        )
        event = Event(1, record)
        listed = EventList.of((event,)).data[0].model_dump_json(exclude_unset=True)
        assert listed.encode() == event_bytes(event)


async def test_recipient_shows_how_its_last_try_went(
    client: Client, redis: Redis, settings: Settings
) -> None:
    sent = await client.send()
    store = Store(redis, Scripts.of(redis.keys, settings), settings.retention)
    view = await store.view(ProjectId("shop"), MessageId(sent.text_at("/id")))
    delivery = Delivery(
        Category.RECIPIENT,
        Reply(550, "5.1.1", "no such user"),
        Peer("mx.example.com", "192.0.2.1", None, "out1", "192.0.2.7"),
        "",
        True,
    )
    state = RecipientState(Status.BOUNCED, 1, last=delivery)
    shown = MessageOut.of(MessageView(view.message, (state,))).model_dump(mode="json")
    last = shown["recipients"][0]["last"]
    assert (last["code"], last["source"], last["source_ip"]) == (550, "out1", "192.0.2.7")


def test_attempt_shows_where_it_was_made_from() -> None:
    moment = datetime(2030, 1, 31, 9, 30, tzinfo=UTC)
    for peer, where in (
        (Peer("mx.example.com", "192.0.2.1", None, "out1", "192.0.2.7"), ("out1", "192.0.2.7")),
        (Peer("mx.example.com", "192.0.2.1"), (None, None)),
        (None, (None, None)),
    ):
        shown = AttemptOut.of(AttemptRecord(moment, moment, (), (), peer, "what was said"))
        assert (shown.source, shown.source_ip) == where


async def test_repeated_idempotency_key_gives_the_first_answer_again(client: Client) -> None:
    key = {"Idempotency-Key": "order-1815"}
    first = await client.post("/messages", MESSAGE, key)
    again = await client.post("/messages", MESSAGE, key)
    assert (again.status, again.body) == (202, first.body)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_repeated_idempotency_key_gives_the_first_answer_after_its_time_has_passed(
    client: Client,
) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=3)
    message = {**MESSAGE, "expires_at": expires_at.isoformat()}
    key = {"Idempotency-Key": "order-1815"}
    first = await client.post("/messages", message, key)

    async def is_refused_without_key() -> bool:
        return (await client.post("/messages", message)).status == 422

    assert await eventually(is_refused_without_key)
    again = await client.post("/messages", message, key)
    assert (again.status, again.body) == (202, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await client.post("/messages", {**message, "subject": "Bye"}, key)
    assert other.status == 422


async def test_idempotency_key_of_another_body_is_a_conflict(client: Client) -> None:
    key = {"Idempotency-Key": "order-1815"}
    await client.post("/messages", MESSAGE, key)
    other = await client.post("/messages", {**MESSAGE, "subject": "Bye"}, key)
    assert (other.status, other.code) == (409, "idempotency_conflict")


async def test_idempotency_keys_of_two_projects_do_not_meet(
    client: Client, stranger: Client
) -> None:
    key = {"Idempotency-Key": "order-1815"}
    mine = await client.post("/messages", MESSAGE, key)
    theirs = await stranger.post("/messages", MESSAGE, key)
    assert theirs.status == 202
    assert theirs.at("/id") != mine.at("/id")


@pytest.mark.parametrize("key", ["", " ", "two words", "k" * 257, "schlüssel"])
async def test_unusable_idempotency_key_is_refused(client: Client, key: str) -> None:
    answer = await client.post("/messages", MESSAGE, {"Idempotency-Key": key})
    assert (answer.status, answer.code) == (400, "invalid_header")
    assert "Idempotency-Key" in answer.text_at("/detail")


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "", "html": None},
        {"text": None, "html": "<p>only HTML</p>"},
        {"text": "tab\tand\r\nlines\n"},
        {"subject": ""},
        {"to": [], "bcc": "only-bcc@example.com"},
        {"to": None, "cc": ["only-cc@example.com"], "reply_to": ["a@b.example", "c@d.example"]},
        {"sender": {"address": "a@b.example", "name": "Ünïcödé ✉"}},
        {"to": "user@bücher.example"},
        {"sender": "Jürgen <jürgen@bücher.example>", "to": "用户@例え.テスト"},
        {"cc": {"address": "χρήστης@παράδειγμα.ελ", "name": "Χρήστης"}, "reply_to": "ü@b.example"},
        {"subject": "✉ " * 400},
        {"metadata": {"k" * 40: "v" * 500}},
        {"metadata": {f"k{n}": "" for n in range(50)}},
        {"tags": [f"t-{n}_" for n in range(10)]},
        {"headers": {"X-Order": "1815", "List-Unsubscribe": "<https://shop.example/u>"}},
        {"expires_in": 60},
        {"expires_at": None, "expires_in": None, "tags": None, "metadata": None, "headers": None},
        {"subject": None, "stream": None, "on_unknown": None, "tls": None},
        {"calendar": {"content": CALENDAR}, "html": "<p>", "amp": AMP},
        {"calendar": {"content": CALENDAR, "method": "REQUEST", "filename": "einladung.ics"}},
        {"in_reply_to": "<a@b.example>", "references": "<c@d.example> <a@b.example>"},
        {"in_reply_to": "a@b.example", "references": [f"{n}@b.example" for n in range(1_000)]},
        {"calendar": None, "amp": None, "in_reply_to": None, "references": None},
        {"attachments": []},
        {"attachments": [{"filename": "leer.txt", "content": ""}]},
    ],
    ids=str,
)
async def test_unusual_but_right_message_is_accepted(
    client: Client, fields: dict[str, object]
) -> None:
    answer = await client.send(**fields)
    assert answer.status == 202, answer.body


async def test_message_is_of_the_stream_and_of_the_caution_that_it_asks_for(client: Client) -> None:
    for fields, kept in (
        ({}, ("transactional", "retry", "opportunistic")),
        (
            {
                "stream": "bulk",
                "on_unknown": "hold",
                "tls": "verified",
                "list_unsubscribe": {"url": "https://shop.example/u/1815"},
            },
            ("bulk", "hold", "verified"),
        ),
        ({"tls": "require"}, ("transactional", "retry", "require")),
    ):
        sent = await client.send(**fields)
        found = await client.get(f"/messages/{sent.text_at('/id')}")
        assert (found.at("/stream"), found.at("/on_unknown"), found.at("/tls")) == kept


async def test_an_address_is_told_as_it_is_in_the_envelope(client: Client) -> None:
    sent = await client.send(
        sender="Jürgen@Bücher.example",
        to=["Bu\u0308ro@Faß.example", "Büro@xn--fa-hia.example", "büro@faß.example"],
    )
    kept = ["Büro@xn--fa-hia.example", "büro@xn--fa-hia.example"]
    found = await client.get(f"/messages/{sent.text_at('/id')}")
    for answer in (sent, found):
        told = answer.at("/recipients")
        assert isinstance(told, list)
        assert [answer.text_at(f"/recipients/{n}/address") for n, _ in enumerate(told)] == kept
    assert found.text_at("/from") == "Jürgen@xn--bcher-kva.example"


async def test_message_tells_who_gets_its_reports(client: Client) -> None:
    for fields, kept in (
        ({}, None),
        ({"report_to": "Ops@Bücher.example"}, "Ops@xn--bcher-kva.example"),
        ({"report_to": "Bu\u0308ro@Bücher.example"}, "Büro@xn--bcher-kva.example"),
    ):
        sent = await client.send(**fields)
        found = await client.get(f"/messages/{sent.text_at('/id')}")
        assert (found.at("/report_to"), found.at("/reports_on")) == (kept, None)


@pytest.mark.parametrize("zone", ["Z", "+00:00", "z"])
async def test_message_expires_when_it_says(client: Client, zone: str) -> None:
    expires_at = datetime.now(UTC).replace(microsecond=0, tzinfo=None) + timedelta(hours=1)
    sent = await client.send(expires_at=f"{expires_at.isoformat()}{zone}")
    found = await client.get(f"/messages/{sent.text_at('/id')}")
    assert found.at("/expires_at") == f"{expires_at.isoformat()}.000Z"


async def test_attachment_beyond_the_thread_threshold_is_accepted(client: Client) -> None:
    content = base64.b64encode(b"\0" * 300_000).decode()
    files = [
        {"filename": "a.bin", "content": content},
        {
            "filename": "logo.png",
            "content": "iVBORw0KGgo=",
            "content_type": "image/png",
            "content_id": "logo",
        },
    ]
    answer = await client.send(attachments=files, html='<img src="cid:logo">')
    assert answer.status == 202, answer.body


async def test_each_call_needs_its_own_scope(client: Client, redis: Redis) -> None:
    sent = await client.send()
    calls = {
        Scope.SEND: ("POST", "/messages"),
        Scope.READ: ("GET", f"/messages/{sent.text_at('/id')}"),
        Scope.MANAGE: ("GET", "/endpoints"),
    }
    for scope in Scope:
        limited = client.with_key(await create_key(redis, "shop", "limited", frozenset({scope})))
        for needed, (method, path) in calls.items():
            answer = await limited.call(method, path)
            assert (answer.status == 403) == (needed is not scope), (scope, needed, answer.body)
