"""Suppression lists over HTTP."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Iterator

import pytest

from app.api.resources.imports import MOST_LINES
from app.projects.keys import Scope, create_key
from app.spool.client import Redis
from tests.app.api.client import MESSAGE, Answer, Client

NDJSON = {"Content-Type": "application/x-ndjson"}
CSV = {"Content-Type": "text/csv; charset=utf-8"}
BOTH = ["transactional", "bulk"]


async def suppress(client: Client, *addresses: str, **fields: object) -> Answer:
    return await client.post("/suppressions", {"addresses": [*addresses], **fields})


async def bring(
    client: Client, body: str | bytes, headers: dict[str, str] = NDJSON, query: str = ""
) -> Answer:
    content = body.encode() if isinstance(body, str) else body
    return await client.call("POST", f"/suppressions/import{query}", body=content, headers=headers)


def listed(answer: Answer) -> list[dict[str, object]]:
    data = answer.at("/data")
    assert isinstance(data, list)
    return data


async def addresses(client: Client, query: str = "") -> list[object]:
    return [entry["address"] for entry in listed(await client.get(f"/suppressions{query}"))]


async def test_added_addresses_are_shown_with_why_and_since(client: Client) -> None:
    made = await suppress(client, "Ada@BÜCHER.example", stream="bulk", note="by telephone")
    (entry,) = listed(made)
    assert made.status == 200
    assert str(entry.pop("since")).endswith("Z")
    assert entry == {
        "address": "ada@xn--bcher-kva.example",
        "stream": "bulk",
        "reason": "manual",
        "message_id": None,
        "note": "by telephone",
    }
    found = await client.get("/suppressions/ADA@b%C3%BCcher.example")
    assert found.at("/data") == made.at("/data")


async def test_an_address_without_a_stream_is_on_both_lists(client: Client) -> None:
    assert [entry["stream"] for entry in listed(await suppress(client, "ada@example.com"))] == BOTH


async def test_adding_again_shows_the_first_entry(client: Client) -> None:
    first = await suppress(client, "ada@example.com", note="first")
    again = await suppress(client, "ADA@example.com", note="second")
    assert again.at("/data") == first.at("/data")


async def test_message_to_suppressed_addresses_says_so_in_its_answer(client: Client) -> None:
    await suppress(client, "ada@example.com", stream="transactional")
    sent = await client.send(to=["Ada@example.com", "bob@example.com"])
    statuses = [sent.at(f"/recipients/{n}/status") for n in (0, 1)]
    assert (sent.status, statuses) == (202, ["suppressed", "queued"])
    read = await client.get(f"/messages/{sent.at('/id')}")
    assert read.at("/recipients/0/last/suppression") == "manual"
    assert "suppressed (manual)" in read.text_at("/recipients/0/last/text")
    bulk = await client.send(stream="bulk", list_unsubscribe={"hosted": True})
    assert bulk.at("/recipients/0/status") == "queued"


async def test_repeated_key_gets_the_same_answer(client: Client) -> None:
    await suppress(client, "ada@example.com")
    headers = {"Idempotency-Key": "order-1"}
    first = await client.post("/messages", MESSAGE, headers)
    await client.call("DELETE", "/suppressions/ada@example.com")
    again = await client.post("/messages", MESSAGE, headers)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.body == first.body
    assert first.at("/recipients/0/status") == "suppressed"


@pytest.mark.parametrize("address", ["a/b@example.com", "x+y'z@example.com", "=1+1@example.com"])
async def test_any_address_can_be_asked_about_and_removed(client: Client, address: str) -> None:
    await suppress(client, address)
    for path in (address, address.replace("/", "%2F").replace("+", "%2B")):
        assert len(listed(await client.get(f"/suppressions/{path}"))) == 2
    removed = await client.call("DELETE", f"/suppressions/{address}?stream=bulk")
    assert (removed.status, removed.body) == (204, b"")
    assert [entry["stream"] for entry in listed(await client.get("/suppressions"))] == BOTH[:1]
    assert (await client.call("DELETE", f"/suppressions/{address}")).status == 204
    assert (await client.get(f"/suppressions/{address}")).code == "not_found"
    assert (await client.call("DELETE", f"/suppressions/{address}")).code == "not_found"


@pytest.mark.parametrize(
    "path", ["nobody@example.com", "nonsense", "a@b@c", "%00@example.com", "a/b"]
)
async def test_what_is_no_suppressed_address_is_not_found(client: Client, path: str) -> None:
    assert (await client.get(f"/suppressions/{path}")).code == "not_found"


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"addresses": None}, ("/addresses", "wrong_type")),
        ({"addresses": []}, ("/addresses", "too_short")),
        ({"addresses": ["a@b.example"] * 1001}, ("/addresses", "too_many")),
        ({"addresses": ["a@b.example", "Ada <a@b.example>"]}, ("/addresses/1", "invalid_address")),
        ({"addresses": ["a@b.example\r\n"]}, ("/addresses/0", "control_character")),
        ({"addresses": [7]}, ("/addresses/0", "wrong_type")),
        ({"stream": "other"}, ("/stream", "unknown_value")),
        ({"note": "x" * 201}, ("/note", "too_long")),
        ({"note": "a\nb"}, ("/note", "control_character")),
        ({"reason": "bounced"}, ("/reason", "unknown_field")),
    ],
)
async def test_bad_entries_are_refused_and_nothing_is_added(
    client: Client, redis: Redis, fields: dict[str, object], refused: tuple[str, str]
) -> None:
    before = await redis.call("DBSIZE")
    answer = await client.post("/suppressions", {"addresses": ["ada@example.com"], **fields})
    assert (answer.status, answer.refused) == (422, [refused])
    assert await redis.call("DBSIZE") == before


async def test_pages_follow_each_other_to_the_end(client: Client) -> None:
    await suppress(client, *(f"u{n}@example.com" for n in range(5)))
    found: list[tuple[object, object]] = []
    query = "?limit=3"
    while query:
        page = await client.get(f"/suppressions{query}")
        found += [(entry["stream"], entry["address"]) for entry in listed(page)]
        following = page.at("/next_cursor")
        query = f"?limit=3&cursor={following}" if following else ""
    assert found == [(stream, f"u{n}@example.com") for stream in BOTH for n in range(5)]


async def test_lists_can_be_asked_for_one_stream_and_one_reason(client: Client) -> None:
    await suppress(client, "ada@example.com")
    await bring(client, '{"address": "bob@example.com", "reason": "complained", "stream": "bulk"}')
    assert await addresses(client, "?stream=bulk") == ["ada@example.com", "bob@example.com"]
    assert await addresses(client, "?reason=complained") == ["bob@example.com"]
    assert await addresses(client, "?reason=bounced") == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=1001", "limit=x", "stream=other", "reason=nonsense", "cursor=%21", "cursor=YQ",
        "cursor=_w", "straem=bulk", "limit=1&limit=x",
    ],
)  # fmt: skip
async def test_bad_parameters_are_refused(client: Client, query: str) -> None:
    answer = await client.get(f"/suppressions?{query}")
    assert (answer.status, answer.code) == (400, "invalid_parameter")


async def test_misspelt_parameter_removes_nothing(client: Client) -> None:
    await suppress(client, "ada@example.com")
    answer = await client.call("DELETE", "/suppressions/ada@example.com?straem=bulk")
    assert (answer.status, answer.code) == (400, "invalid_parameter")
    assert len(await addresses(client)) == 2


async def test_reading_needs_one_scope_and_changing_another(client: Client, redis: Redis) -> None:
    reader = client.with_key(await create_key(redis, "shop", "r", frozenset({Scope.READ})))
    sender = client.with_key(await create_key(redis, "shop", "s", frozenset({Scope.SEND})))
    assert (await reader.get("/suppressions")).status == 200
    assert (await reader.get("/suppressions/export")).status == 200
    for answer in (
        await suppress(reader, "ada@example.com"),
        await bring(reader, "{}"),
        await reader.call("DELETE", "/suppressions/ada@example.com"),
        await sender.get("/suppressions"),
    ):
        assert answer.code == "forbidden"


LINES = [
    '{"address": "ada@example.com"}',
    "",
    '{"address": "ada@localhost"}',
    '{"address": "bob@example.com", "stream": "bulk", "reason": "unsubscribed",'
    ' "since": "2020-01-31T09:30:00Z", "note": "moved over"}',
    "nonsense",
    '{"address": "ADA@example.com", "stream": "bulk"}\r',
    '{"address": "x@example.com", "x": 1}',
    '{"address": "x@example.com", "address": "y@example.com"}',
    '["x@example.com"]',
    '{"address": "' + "x" * 5000 + '@example.com"}',
    '{"address": "x@example.com", "note": "\\u0000"}',
    '{"address": "x@example.com", "message_id": "msg_1"}',
]


async def test_lines_are_imported_and_bad_ones_named(client: Client) -> None:
    answer = await bring(client, "\n".join(LINES))
    assert (answer.status, answer.at("/lines"), answer.at("/refused")) == (200, 11, 8)
    assert (answer.at("/added"), answer.at("/known")) == (3, 1)
    errors = answer.at("/errors")
    assert isinstance(errors, list)
    assert [(error["line"], error["code"]) for error in errors] == [
        (3, "invalid_address"),
        (5, "malformed_json"),
        (7, "unknown_field"),
        (8, "malformed_json"),
        (9, "wrong_type"),
        (10, "too_large"),
        (11, "control_character"),
        (12, "invalid_value"),
    ]


async def test_imported_line_says_why_and_since(client: Client) -> None:
    await bring(client, "\n".join(LINES))
    (bob,) = listed(await client.get("/suppressions/bob@example.com"))
    assert bob == {
        "address": "bob@example.com",
        "stream": "bulk",
        "reason": "unsubscribed",
        "since": "2020-01-31T09:30:00.000Z",
        "message_id": None,
        "note": "moved over",
    }


async def test_what_an_import_does_not_say_is_filled_in(client: Client) -> None:
    line = '{"address": "ada@example.com", "since": "2999-01-01T00:00:00+02:00"}'
    await bring(client, line, query="?stream=bulk")
    (entry,) = listed(await client.get("/suppressions"))
    assert (entry["stream"], entry["reason"]) == ("bulk", "imported")
    assert str(entry["since"]) < "2999"


@pytest.mark.parametrize(
    "body",
    [
        'address,note\r\nada@example.com,"one, two"\r\nbob@example.com,\r\n',
        '\ufeffNote,Address\n"one, two",ada@example.com\n,bob@example.com',
    ],
)
async def test_columns_of_a_csv_are_found_by_name(client: Client, body: str) -> None:
    answer = await bring(client, body, CSV, "?stream=bulk")
    assert (answer.at("/lines"), answer.at("/added"), answer.at("/errors")) == (2, 2, [])
    notes = [entry["note"] for entry in listed(await client.get("/suppressions"))]
    assert notes == ["one, two", ""]


async def test_plain_list_of_addresses_is_a_csv(client: Client) -> None:
    answer = await bring(client, "ada@example.com\n\nnonsense\nbob@example.com\n", CSV)
    assert (answer.at("/lines"), answer.at("/added"), answer.at("/refused")) == (3, 4, 1)
    assert answer.at("/errors/0/line") == 3


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ("address,stream\na@example.com\n", ["invalid_value"]),
        ("address,stream\na@example.com,other\n", ["unknown_value"]),
        ('address\n"a@example.com\n', ["invalid_value"]),
        (b"address\n\xff\xfe@example.com\n", ["malformed_json"]),
        ("address\na@example.com\0\n", ["control_character"]),
        ("address\na\rb@example.com\n", ["invalid_value"]),
    ],
)
async def test_bad_lines_of_a_csv_are_named(
    client: Client, body: str | bytes, codes: list[str]
) -> None:
    answer = await bring(client, body, CSV)
    errors = answer.at("/errors")
    assert isinstance(errors, list)
    assert [(error["line"], error["code"]) for error in errors] == [(2, code) for code in codes]
    assert answer.at("/added") == 0


@pytest.mark.parametrize(
    "head", ["email,created\n", "address,email\n", "address,address\n", "ada@example.com,bulk\n"]
)
async def test_csv_whose_columns_are_not_known_is_refused_whole(client: Client, head: str) -> None:
    answer = await bring(client, f"{head}ada@example.com,2020\n", CSV)
    assert (answer.status, answer.refused) == (422, [("", "invalid_value")])
    assert await addresses(client) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Content-Type": "text/csv; charset=latin-1"},
        {"Content-Type": ""},
        {**CSV, "Content-Encoding": "br"},
    ],
)
async def test_other_forms_are_not_imported(client: Client, headers: dict[str, str]) -> None:
    answer = await bring(client, "{}", headers)
    assert answer.code == "unsupported_media_type"


async def test_import_may_be_repeated(client: Client) -> None:
    body = "\n".join(json.dumps({"address": f"u{n}@example.com"}) for n in range(500))
    first, again = await bring(client, body), await bring(client, body)
    assert (first.at("/added"), first.at("/known")) == (1000, 0)
    assert (again.at("/added"), again.at("/known")) == (0, 1000)


async def test_lines_may_come_in_pieces_of_any_size(client: Client) -> None:
    body = b"".join(b'{"address": "u%d@example.com", "stream": "bulk"}\n' % n for n in range(300))
    pieces = [body[start : start + 7] for start in range(0, len(body), 7)]
    answer = await client.post_in_pieces("/suppressions/import", pieces, NDJSON)
    assert (answer.at("/lines"), answer.at("/added")) == (300, 300)


async def test_import_of_too_many_lines_stops_there(client: Client) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"address\nada@example.com\n"
        for _ in range(MOST_LINES // 1000 + 1):
            yield b"\n" * 1000

    answer = await client.post_in_pieces("/suppressions/import", pieces(), CSV)
    assert (answer.status, answer.code) == (413, "too_large")
    assert (await client.get("/suppressions/ada@example.com")).status == 200


async def test_endless_line_is_refused_without_being_held(client: Client) -> None:
    pieces = [b'{"address": "', *[b"x" * 10_000] * 20, b'"}\n{"address": "ada@example.com"}']
    answer = await client.post_in_pieces("/suppressions/import", pieces, NDJSON)
    assert (answer.at("/added"), answer.at("/errors/0/code")) == (2, "too_large")


async def test_import_may_be_as_large_as_any_body(client: Client) -> None:
    answer = await client.post_in_pieces("/suppressions/import", [b"x" * 100_000] * 11, NDJSON)
    assert (answer.status, answer.code) == (413, "too_large")


async def test_no_more_than_a_thousand_bad_lines_are_named(client: Client) -> None:
    answer = await bring(client, "x\n" * 1200, CSV)
    errors = answer.at("/errors")
    assert isinstance(errors, list)
    assert (answer.at("/refused"), len(errors)) == (1200, 1000)


@pytest.mark.parametrize(("form", "headers"), [("ndjson", NDJSON), ("csv", CSV)])
async def test_what_was_exported_can_be_imported_by_another(
    client: Client, stranger: Client, form: str, headers: dict[str, str]
) -> None:
    odd = [
        "=1+1@example.com",
        "'=a@example.com",
        "''-b@example.com",
        "'c@example.com",
        "+d@example.com",
    ]
    await suppress(client, *odd, note='@sum(1), "quoted"')
    await bring(client, '{"address": "bob@example.com", "reason": "complained"}')
    exported = await client.get(f"/suppressions/export?format={form}")
    assert exported.headers["Content-Type"].startswith(headers["Content-Type"].partition(";")[0])
    answer = await bring(stranger, exported.body, headers)
    assert (answer.at("/added"), answer.at("/refused")) == (12, 0)
    both = [await each.get("/suppressions") for each in (client, stranger)]
    assert listed(both[0]) == listed(both[1])


async def test_no_cell_of_a_csv_is_a_formula(client: Client) -> None:
    await suppress(client, "=cmd@example.com", "-1@example.com", "+1@example.com", note="@sum(1)")
    exported = await client.get("/suppressions/export?format=csv&stream=bulk")
    rows = list(csv.reader(exported.body.decode().splitlines()))
    assert rows[0] == ["address", "stream", "reason", "since", "message_id", "note"]
    assert len(rows) == 4
    assert not [cell for row in rows for cell in row if cell[:1] in {"=", "+", "-", "@"}]


async def test_export_holds_what_was_asked_for(client: Client) -> None:
    assert (await client.get("/suppressions/export")).body == b""
    await suppress(client, *(f"u{n}@example.com" for n in range(700)))
    await bring(client, '{"address": "bob@example.com", "reason": "complained"}')
    exported = await client.get("/suppressions/export?stream=bulk")
    lines = [json.loads(line) for line in exported.body.splitlines()]
    assert len(lines) == 701
    assert {line["stream"] for line in lines} == {"bulk"}
    some = await client.get("/suppressions/export?reason=complained")
    assert len(some.body.splitlines()) == 2


async def test_many_imports_at_once_come_to_the_same(client: Client) -> None:
    body = "\n".join(f"u{n}@example.com" for n in range(300))
    answers = await asyncio.gather(*(bring(client, body, CSV, "?stream=bulk") for _ in range(4)))
    added = [answer.at("/added") for answer in answers]
    assert sum(each for each in added if isinstance(each, int)) == 300
