"""Finished mails over HTTP: the envelope in the query, the mail as the body."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from app.mail.dkim import Algorithm, generate_pem
from app.projects.keys import Scope, create_key
from app.settings import DkimSettings, Settings
from app.spool.client import Redis
from tests.app.api.client import Answer, Client

MAIL = (
    b"From: Shop <hello@shop.example>\r\nTo: Ada <ada@example.com>\r\nCc: grace@example.org\r\n"
    b"List-Unsubscribe: <https://shop.example/u/1815>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"Bcc: secret@example.net\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nGood morning.\r\n"
)
FORM = {"Content-Type": "message/rfc822"}


async def post(
    client: Client, query: str, body: bytes = MAIL, headers: Mapping[str, str] = FORM
) -> Answer:
    """Post a finished mail."""
    return await client.call("POST", f"/messages/raw?{query}", body=body, headers=headers)


async def test_a_finished_mail_is_accepted_for_the_envelope_of_the_query(client: Client) -> None:
    answer = await post(
        client,
        "rcpt_to=secret@example.net&rcpt_to=ada@Example.com&rcpt_to=grace@example.org"
        "&rcpt_to=ada@example.com&mail_from=bounces@shop.example&tags=a&tags=b&stream=bulk"
        "&metadata=%7B%22order%22%3A+%2218%2B15%22%7D&tls=verified&on_unknown=hold"
        "&report_to=ops@shop.example&expires_in=3600",
    )
    assert answer.status == 202, answer.body
    found = await client.get(f"/messages/{answer.text_at('/id')}")
    assert [
        (found.at(f"/recipients/{n}/address"), found.at(f"/recipients/{n}/field")) for n in range(3)
    ] == [
        ("secret@example.net", "bcc"),
        ("ada@example.com", "to"),
        ("grace@example.org", "cc"),
    ]
    shown = (
        "from",
        "mail_from",
        "subject",
        "tags",
        "metadata",
        "stream",
        "tls",
        "on_unknown",
        "report_to",
    )
    assert [found.at(f"/{name}") for name in shown] == [
        "hello@shop.example",
        "bounces@shop.example",
        "Grüße",
        ["a", "b"],
        {"order": "18+15"},
        "bulk",
        "verified",
        "hold",
        "ops@shop.example",
    ]


async def test_a_plus_in_an_address_is_a_plus_however_it_is_written(client: Client) -> None:
    answer = await post(
        client,
        "rcpt_to=ada+a@example.com&rcpt_to=ada%2Bb%40example.com&mail_from=me+x@shop.example",
    )
    assert [answer.at(f"/recipients/{n}/address") for n in (0, 1)] == [
        "ada+a@example.com",
        "ada+b@example.com",
    ]
    found = await client.get(f"/messages/{answer.text_at('/id')}")
    assert found.at("/mail_from") == "me+x@shop.example"


async def test_without_a_return_path_the_author_is_told_of_trouble(client: Client) -> None:
    answer = await post(client, "rcpt_to=ada@example.com")
    found = await client.get(f"/messages/{answer.text_at('/id')}")
    assert (found.at("/from"), found.at("/mail_from")) == ("hello@shop.example",) * 2


async def test_a_plus_in_a_time_is_a_plus_however_it_is_written(client: Client) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).astimezone(timezone(timedelta(hours=1)))
    for written in (soon.isoformat(), soon.isoformat().replace("+", "%2B")):
        answer = await post(client, f"rcpt_to=ada@example.com&expires_at={written}")
        assert answer.status == 202, answer.body


REFUSED: list[tuple[str, list[tuple[str, str]]]] = [
    ("", [("/rcpt_to", "required")]),
    ("mail_from=a@b.example", [("/rcpt_to", "required")]),
    ("rcpt_to=", [("/rcpt_to/0", "invalid_address")]),
    ("rcpt_to=a@b.example&rcpt_to=b", [("/rcpt_to/1", "invalid_address")]),
    ("rcpt_to=a%20b@c.example", [("/rcpt_to/0", "invalid_address")]),
    ("rcpt_to=a@b.example%0d%0aDATA", [("/rcpt_to/0", "control_character")]),
    ("rcpt_to=a@b.example>%20SIZE=1", [("/rcpt_to/0", "invalid_address")]),
    ("rcpt_to=%ff@b.example", [("/rcpt_to", "invalid_value")]),
    ("rcpt_to=a@b.example&rcpt_to[]=b@b.example", [("/rcpt_to[]", "unknown_field")]),
    ("rcpt_to=a@b.example&to=b@b.example", [("/to", "unknown_field")]),
    ("rcpt_to=a@b.example&mail_from=", [("/mail_from", "invalid_address")]),
    ("rcpt_to=a@b.example&mail_from=%3C%3E", [("/mail_from", "invalid_address")]),
    ("rcpt_to=a@b.example&mail_from=c@d.example&mail_from=e@f.example", [("/mail_from", "duplicate")]),
    ("rcpt_to=a@b.example&stream=bulk&stream=bulk&stream=bulk", [("/stream", "duplicate")]),
    ("rcpt_to=a@b.example&stream=express", [("/stream", "unknown_value")]),
    ("rcpt_to=a@b.example&tags=", [("/tags/0", "too_short")]),
    ("rcpt_to=a@b.example" + "&tags=a" * 11, [("/tags", "too_many")]),
    ("rcpt_to=a@b.example&metadata=order", [("/metadata", "invalid_value")]),
    ("rcpt_to=a@b.example&metadata=%5B%5D", [("/metadata", "wrong_type")]),
    ("rcpt_to=a@b.example&metadata=%7B%22a%22:1%7D", [("/metadata/a", "wrong_type")]),
    ("rcpt_to=a@b.example&metadata=%7B%22a%22:%22%22,%22a%22:%22%22%7D", [("/metadata", "invalid_value")]),
    ("rcpt_to=a@b.example&expires_in=soon", [("/expires_in", "wrong_type")]),
    ("rcpt_to=a@b.example&expires_in=0", [("/expires_in", "out_of_range")]),
    ("rcpt_to=a@b.example&expires_in=" + "9" * 5000, [("/expires_in", "wrong_type")]),
    ("rcpt_to=a@b.example&expires_at=2020-01-01T00:00:00Z", [("/expires_at", "out_of_range")]),
    ("&".join(f"rcpt_to=a{n}@b.example" for n in range(101)), [("/rcpt_to", "too_many_recipients")]),
    ("&".join(f"rcpt_to=a{n}@b.example" for n in range(1001)), [("/rcpt_to", "too_many")]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "refused"), REFUSED, ids=lambda value: str(value)[:60])
async def test_a_bad_parameter_is_named_and_nothing_is_stored(
    client: Client, redis: Redis, query: str, refused: list[tuple[str, str]]
) -> None:
    before = await redis.call("DBSIZE")
    answer = await post(client, query)
    assert (answer.status, answer.code) == (422, "invalid_request"), answer.body
    assert answer.refused == refused
    assert await redis.call("DBSIZE") == before


async def test_a_bad_mail_is_refused_with_places_and_codes_of_envelope_and_mail(
    client: Client, redis: Redis
) -> None:
    before = await redis.call("DBSIZE")
    body = b"From: a@b.example, c@d.example\r\nSubject: a\r\nSubject: b\r\n\r\n\0"
    answer = await post(client, "rcpt_to=a@b.example&expires_in=9999999", body)
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert answer.refused == [
        ("/expires_in", "out_of_range"),
        ("/header/subject", "duplicate"),
        ("/body", "control_character"),
        ("/header/from", "invalid_address"),
    ]
    assert await redis.call("DBSIZE") == before


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ("message/rfc822", 202),
        ("Message/RFC822; charset=utf-8", 202),
        ("application/json", 415),
        ("text/plain", 415),
        ("message/rfc822x", 415),
        ("multipart/form-data; boundary=x", 415),
    ],
)
async def test_only_mails_are_taken(client: Client, form: str, status: int) -> None:
    answer = await post(client, "rcpt_to=a@b.example", headers={"Content-Type": form})
    assert answer.status == status
    assert status == 202 or b"message/rfc822" in answer.body


async def test_a_mail_is_no_json_request_and_the_other_way_round(client: Client) -> None:
    answer = await client.call("POST", "/messages", body=MAIL, headers=FORM)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


async def test_a_mail_that_is_too_large_is_refused_before_it_is_read_to_its_end(
    client: Client,
) -> None:
    answer = await post(client, "rcpt_to=a@b.example", MAIL + b"a\r\n" * 200_000)
    assert (answer.status, answer.code) == (413, "too_large")
    pieces = (b"a\r\n" * 10_000 for _ in range(30))
    answer = await client.post_in_pieces("/messages/raw?rcpt_to=a@b.example", pieces, FORM)
    assert (answer.status, answer.code) == (413, "too_large")


async def test_a_large_mail_is_taken_up_to_the_limit_of_what_is_sent(client: Client) -> None:
    head = b"From: a@b.example\r\nDate: Mon, 1 Jan 2029 00:00:00 +0000\r\nMessage-ID: <a@b>\r\n\r\n"
    lines = (b"a" * 48 + b"\r\n") * 10_000
    most = head + lines[len(head) :]
    taken = await post(client, "rcpt_to=a@b.example", most)
    assert (await client.get(f"/messages/{taken.text_at('/id')}")).at("/size") == len(most)
    # A lone LF becomes CRLF, so that more is sent than came.
    answer = await post(client, "rcpt_to=a@b.example", most[:-2] + b"\n\n")
    assert (answer.status, answer.code) == (413, "too_large")


async def test_a_repeated_key_gets_the_first_answer_again(client: Client) -> None:
    headers = {**FORM, "Idempotency-Key": "k1"}
    first = await post(client, "rcpt_to=a@b.example&tags=x", headers=headers)
    again = await post(client, "rcpt_to=a@b.example&tags=x", headers=headers)
    assert (first.status, again.status, again.body) == (202, 202, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("rcpt_to=a@b.example&tags=y", MAIL),
        ("rcpt_to=c@b.example", MAIL),
        ("rcpt_to=a@b.example", MAIL + b"."),
    ],
)
async def test_a_key_is_for_one_envelope_and_one_mail(
    client: Client, query: str, body: bytes
) -> None:
    headers = {**FORM, "Idempotency-Key": "k1"}
    assert (await post(client, "rcpt_to=a@b.example", headers=headers)).status == 202
    answer = await post(client, query, body, headers)
    assert (answer.status, answer.code) == (409, "idempotency_conflict")


async def test_a_key_of_a_message_is_not_one_of_a_finished_mail(client: Client) -> None:
    json = {"from": "a@b.example", "to": "c@d.example", "text": ""}
    assert (await client.post("/messages", json, {"Idempotency-Key": "k2"})).status == 202
    answer = await post(client, "rcpt_to=a@b.example", headers={**FORM, "Idempotency-Key": "k2"})
    assert (answer.status, answer.code) == (409, "idempotency_conflict")


async def test_it_needs_the_scope_to_send(client: Client, redis: Redis) -> None:
    reader = client.with_key(await create_key(redis, "shop", "reader", frozenset({Scope.READ})))
    answer = await post(reader, "rcpt_to=a@b.example")
    assert (answer.status, answer.code) == (403, "forbidden")


async def test_what_the_mail_says_of_tls_is_not_contradicted(client: Client) -> None:
    said = MAIL.replace(b"\r\n", b"\r\nTLS-Required: No\r\n", 1)
    assert (await post(client, "rcpt_to=a@b.example&tls=optional", said)).status == 202
    for query in ("rcpt_to=a@b.example", "rcpt_to=a@b.example&tls=require"):
        answer = await post(client, query, said)
        assert (answer.status, answer.refused) == (422, [("/header/tls-required", "excluded")])


class TestWithKeys:
    """Where only domains with DKIM keys may send."""

    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        """Keys for shop.example and for reports.example."""
        for domain in ("shop.example", "reports.example"):
            (tmp_path / domain).mkdir()
            (tmp_path / domain / "s1.pem").write_bytes(generate_pem(Algorithm.ED25519))
        dkim = DkimSettings(required=True, directory=tmp_path)
        return settings.model_copy(update={"dkim": dkim})

    @pytest.mark.parametrize(
        ("query", "line", "refused"),
        [
            ("", b"From: a@shop.example", []),
            ("&mail_from=b@bounces.shop.example", b"From: a@shop.example", []),
            ("&mail_from=b@reports.example", b"From: a@shop.example", []),
            ("", b"From: a@shop.example\r\nSender: b@reports.example", []),
            ("", b"From: a@evil.example", [("/header/from", "domain_without_key")]),
            ("&mail_from=b@shop.example", b"From: a@evil.example", [("/header/from", "domain_without_key")]),
            ("&mail_from=b@evil.example", b"From: a@shop.example", [("/mail_from", "domain_without_key")]),
            ("&mail_from=b@notshop.example", b"From: a@shop.example", [("/mail_from", "domain_without_key")]),
            (
                "&mail_from=b@evil.example",
                b"From: a@shop.example\r\nSender: b@evil.example",
                [("/header/sender", "domain_without_key"), ("/mail_from", "domain_without_key")],
            ),
        ],
    )  # fmt: skip
    async def test_nobody_speaks_for_a_domain_that_is_not_ours(
        self, client: Client, query: str, line: bytes, refused: list[tuple[str, str]]
    ) -> None:
        answer = await post(client, f"rcpt_to=a@b.example{query}", line + b"\r\n\r\n")
        assert (answer.status == 202) == (refused == []), answer.body
        assert not refused or answer.refused == refused
