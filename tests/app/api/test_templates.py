"""Templates over HTTP: kept in versions, looked at, and refused with the place of what is wrong."""

from __future__ import annotations

import json

import pytest

from app.projects.keys import Scope, create_key
from app.spool.client import Redis
from tests.app.api.client import Client

WELCOME: dict[str, object] = {
    "name": "welcome",
    "subject": "Welcome, {{ name }}",
    "html": "<p>Hello {{ name }}, you chose {{ plan.title|default('nothing') }}.</p>",
    "text": "Hello {{ name }}. {% for tip in tips %}{{ tip }} {% endfor %}",
}
FIELDS = {field: value for field, value in WELCOME.items() if field != "name"}


async def test_created_template_is_version_one_and_says_what_it_needs(client: Client) -> None:
    made = await client.post("/templates", WELCOME)
    assert (made.status, made.headers["Location"]) == (201, "/templates/welcome")
    assert (made.at("/version"), made.at("/variables")) == (1, ["name", "plan", "tips"])
    assert made.at("/made_html") == WELCOME["html"]
    found = await client.get("/templates/welcome/versions/1")
    assert json.loads(found.body) == json.loads(made.body)
    head = await client.get("/templates/welcome")
    assert (head.at("/current_version"), head.at("/versions")) == (1, [1])


async def test_versions_are_added_chosen_and_never_change(client: Client) -> None:
    await client.post("/templates", WELCOME)
    first = (await client.get("/templates/welcome/versions/1")).body
    second = await client.post("/templates/welcome/versions", {**FIELDS, "subject": "Second"})
    third = await client.post(
        "/templates/welcome/versions", {**FIELDS, "subject": "Third", "make_current": False}
    )
    assert [(answer.status, answer.at("/version")) for answer in (second, third)] == [
        (201, 2), (201, 3),
    ]  # fmt: skip
    assert (await client.get("/templates/welcome")).at("/current_version") == 2
    chosen = await client.post("/templates/welcome/current", {"version": 1})
    assert (chosen.status, chosen.at("/current_version")) == (200, 1)
    assert (await client.get("/templates/welcome")).at("/versions") == [1, 2, 3]
    assert (await client.get("/templates/welcome/versions/1")).body == first
    for method in ("PUT", "PATCH"):
        assert (await client.call(method, "/templates/welcome/versions/1")).status == 405


async def test_number_of_a_deleted_version_is_not_used_again(client: Client) -> None:
    await client.post("/templates", WELCOME)
    await client.post("/templates/welcome/versions", FIELDS)
    path = "/templates/welcome/versions/2"
    current = await client.call("DELETE", path)
    assert (current.status, current.refused) == (422, [("", "current_version")])
    await client.post("/templates/welcome/current", {"version": 1})
    assert (await client.call("DELETE", path)).status == 204
    assert [(await client.call(how, path)).status for how in ("GET", "DELETE")] == [404, 404]
    again = await client.post("/templates/welcome/versions", FIELDS)
    assert again.at("/version") == 3
    assert (await client.get("/templates/welcome")).at("/versions") == [1, 3]


async def test_deleted_template_leaves_nothing_behind(client: Client, redis: Redis) -> None:
    before = await redis.call("DBSIZE")
    await client.post("/templates", WELCOME)
    assert (await client.call("DELETE", "/templates/welcome")).status == 204
    assert await redis.call("DBSIZE") == before
    for method, path, body in (
        ("GET", "/templates/welcome", {}),
        ("DELETE", "/templates/welcome", {}),
        ("GET", "/templates/welcome/versions/1", {}),
        ("POST", "/templates/welcome/versions", FIELDS),
        ("POST", "/templates/welcome/current", {"version": 1}),
        ("POST", "/templates/welcome/preview", {}),
    ):
        answer = await (
            client.post(path, body) if body or method == "POST" else client.call(method, path)
        )
        assert (answer.status, answer.code) == (404, "not_found"), path


async def test_templates_are_listed_page_by_page(client: Client) -> None:
    for name in ("b", "C", "a-1"):
        await client.post("/templates", {**WELCOME, "name": name})
    names, cursor = [], ""
    for _ in range(2):
        page = await client.get(f"/templates?limit=2{cursor}")
        data = page.at("/data")
        assert isinstance(data, list)
        names += [each["name"] for each in data]
        cursor = f"&cursor={page.at('/next_cursor')}"
    assert (names, page.at("/next_cursor")) == (["C", "a-1", "b"], None)
    for query in ("limit=0", "limit=x", "cursor=%00", "sort=name"):
        refused = await client.get(f"/templates?{query}")
        assert (refused.status, refused.code) == (400, "invalid_parameter"), query


async def test_project_may_have_so_many_templates_and_versions(
    client: Client, stranger: Client
) -> None:
    for name in ("a", "b", "c"):
        assert (await client.post("/templates", {**WELCOME, "name": name})).status == 201
    taken = await client.post("/templates", {**WELCOME, "name": "a"})
    assert (taken.status, taken.refused) == (422, [("/name", "name_taken")])
    fourth = await client.post("/templates", {**WELCOME, "name": "d"})
    assert (fourth.status, fourth.refused) == (422, [("", "too_many_templates")])
    for number in (2, 3):
        added = await client.post("/templates/a/versions", FIELDS)
        assert added.at("/version") == number
    more = await client.post("/templates/a/versions", FIELDS)
    assert (more.status, more.refused) == (422, [("", "too_many_versions")])
    assert (await stranger.post("/templates", {**WELCOME, "name": "a"})).status == 201


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"name": "a b"}, [("/name", "invalid_value")]),
        ({"name": ""}, [("/name", "too_short")]),
        ({"name": "a" * 65}, [("/name", "too_long")]),
        ({"name": "../a"}, [("/name", "invalid_value")]),
        ({"name": None}, [("/name", "wrong_type")]),
        ({"html": None, "text": None}, [("/text", "required")]),
        ({"mjml": "<mjml></mjml>"}, [("/mjml", "excluded")]),
        ({"html": None, "amp": "<!doctype html><html ⚡4email></html>"}, [("/html", "required")]),
        ({"amp": "<html></html>"}, [("/amp", "invalid_amp")]),
        ({"subject": "a\nb"}, [("/subject", "control_character")]),
        ({"html": "\0"}, [("/html", "control_character")]),
        ({"html": "\ud800"}, [("/html", "lone_surrogate")]),
        ({"inline_css": 1}, [("/inline_css", "wrong_type")]),
        ({"version": 1}, [("/version", "unknown_field")]),
        ({"subject": "{{ a", "html": "{% x %}", "text": "{{ a() }}"},
         [("/subject", "invalid_template"), ("/html", "invalid_template"), ("/text", "invalid_template")]),
        ({"text": "x" * 262_145}, [("/text", "too_long")]),
    ],
)  # fmt: skip
async def test_bad_template_is_refused_and_not_kept(
    client: Client, redis: Redis, fields: dict[str, object], refused: list[tuple[str, str]]
) -> None:
    before = await redis.call("DBSIZE")
    for path, sent in (
        ("/templates", WELCOME | fields),
        ("/templates/preview", {**FIELDS, "variables": {}} | fields),
    ):
        if path == "/templates" or "name" not in fields:
            answer = await client.post(path, sent)
            assert (answer.status, answer.refused) == (422, refused)
    assert await redis.call("DBSIZE") == before


async def test_flaw_is_told_with_its_line(client: Client) -> None:
    answer = await client.post("/templates", {**WELCOME, "html": "<p>\n{{ name|shout }}</p>"})
    assert "line 2" in answer.text_at("/errors/0/detail")
    assert "upper" in answer.text_at("/errors/0/detail")


async def test_preview_shows_the_mail_and_sends_and_keeps_nothing(
    client: Client, redis: Redis
) -> None:
    await client.post("/templates", WELCOME)
    before = await redis.call("DBSIZE")
    variables = {"name": "Ada <b>", "tips": ["one", "two"], "plan": {"title": "tea & rum"}}
    seen = await client.post("/templates/welcome/preview", {"variables": variables})
    assert json.loads(seen.body) == {
        "subject": "Welcome, Ada <b>",
        "html": "<p>Hello Ada &lt;b&gt;, you chose tea &amp; rum.</p>",
        "text": "Hello Ada <b>. one two ",
        "amp": None,
        "missing": [],
    }
    unsaved = await client.post("/templates/preview", {**FIELDS, "variables": variables})
    assert unsaved.body == seen.body
    assert await redis.call("DBSIZE") == before


async def test_preview_names_what_is_missing_and_shows_where(client: Client) -> None:
    await client.post("/templates", WELCOME)
    seen = await client.post("/templates/welcome/preview", {"version": 1})
    assert (seen.status, seen.at("/missing")) == (200, ["name", "plan", "tips"])
    assert seen.at("/subject") == "Welcome, [name]"
    assert seen.at("/text") == "Hello [name]. "
    rows = await client.post(
        "/templates/preview",
        {
            "text": "{% for line in order.lines %}{{ line.title }}{% else %}none{% endfor %}{{ order.id }}"
        },
    )
    assert (rows.at("/missing"), rows.at("/text")) == (
        ["order.lines", "order.id"],
        "none[order.id]",
    )
    nested = await client.post("/templates/preview", {"text": "{{ a.b['c/d'] }}{{ e }}"})
    assert (nested.at("/missing"), nested.at("/text")) == (["a.b.c/d", "e"], "[a.b.c/d][e]")


@pytest.mark.parametrize(
    ("text", "variables", "refused"),
    [
        ("{{ rows }}", {"rows": [1]}, ("/text", "template_failed")),
        ("{% for a in rows %}{{ a.b }}{% endfor %}", {"rows": [{}]}, ("/variables", "missing_variable")),
        ("{% for a in rows %}{% for b in rows %}{% for c in rows %}x{% endfor %}{% endfor %}{% endfor %}",
         {"rows": list(range(1000))}, ("/text", "template_failed")),
        ("{{ a }}", {"a": "\ud800"}, ("/variables", "lone_surrogate")),
        ("{{ a }}", {"a": "x" * 300_000}, ("/variables", "too_long")),
        ("{{ a }}", {"a": "\0"}, ("/text", "control_character")),
    ],
)  # fmt: skip
async def test_preview_that_fails_says_why(
    client: Client, text: str, variables: dict[str, object], refused: tuple[str, str]
) -> None:
    answer = await client.post("/templates/preview", {"text": text, "variables": variables})
    assert (answer.status, answer.refused) == (422, [refused])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"text": "a", "variables": {"a": 1e999}}', "invalid_request"),
        (b'{"text": "a", "variables": {"a": NaN}}', "malformed_json"),
        (b'{"text": "a", "variables": {"a": 1, "a": 2}}', "malformed_json"),
        (b'{"text": "a", "variables": {"a": ' + b"9" * 1000 + b"}}", "malformed_json"),
        (b'{"text": "a", "variables": ' + b'{"a": ' * 50_000 + b"1" + b"}" * 50_001, "malformed_json"),
        (b'{"text": "a", "variables": {"a": ' + b"[" * 30 + b"]" * 30 + b"}}", "invalid_request"),
        (b'{"text": "a", "variables": [1]}', "invalid_request"),
        (b'{"text": "\xff"}', "malformed_json"),
    ],
)  # fmt: skip
async def test_hostile_json_is_refused(client: Client, body: bytes, code: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.call("POST", "/templates/preview", body=body, headers=headers)
    assert (answer.status, answer.code) == (400 if code == "malformed_json" else 422, code)


async def test_writing_needs_another_scope_than_reading(client: Client, redis: Redis) -> None:
    reader = client.with_key(await create_key(redis, "shop", "test", frozenset({Scope.READ})))
    await client.post("/templates", WELCOME)
    assert (await reader.get("/templates/welcome")).status == 200
    assert (await reader.post("/templates/welcome/preview", {})).status == 200
    assert (await reader.post("/templates", WELCOME)).status == 403
    assert (await reader.post("/templates/welcome/versions", FIELDS)).status == 403
    assert (await reader.post("/templates/welcome/current", {"version": 1})).status == 403
    assert (await reader.call("DELETE", "/templates/welcome")).status == 403


MJML = (
    "<mjml><mj-body><mj-section><mj-column>\n<mj-text>Hello {{ name }}</mj-text>"
    "</mj-column></mj-section></mj-body></mjml>"
)
STYLED = "<html><head><style>p { color: red }</style></head><body><p>{{ name }}</p></body></html>"


async def test_mjml_becomes_html_and_styles_are_inlined_once_when_saved(client: Client) -> None:
    made = await client.post("/templates", {"name": "mjml", "mjml": MJML})
    assert (made.status, made.at("/mjml"), made.at("/html")) == (201, MJML, None)
    assert "<table" in made.text_at("/made_html")
    assert "Hello {{ name }}" in made.text_at("/made_html")
    assert made.at("/variables") == ["name"]
    styled = await client.post("/templates", {"name": "css", "html": STYLED, "inline_css": True})
    assert 'style="color: red' in styled.text_at("/made_html")
    seen = await client.post("/templates/css/preview", {"variables": {"name": "<Ada>"}})
    assert ">&lt;Ada&gt;</p>" in seen.text_at("/html")
    assert (await client.get("/templates/css/versions/1")).at("/html") == STYLED


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"mjml": "<mjml>\n<mj-body>"}, ("/mjml", "invalid_html")),
        ({"mjml": MJML.replace("{{ name }}", "{{ name() }}")}, ("/mjml", "invalid_template")),
        ({"mjml": "<mjml>" + "<mj-body>" * 10_000}, ("/mjml", "invalid_html")),
        ({"html": "<p>" + "<div>" * 40_000, "inline_css": True}, ("/html", "invalid_html")),
    ],
)
async def test_html_that_cannot_be_worked_on_is_refused(
    client: Client, redis: Redis, fields: dict[str, object], refused: tuple[str, str]
) -> None:
    before = await redis.call("DBSIZE")
    answer = await client.post("/templates", {"name": "bad", **fields})
    assert (answer.status, answer.refused) == (422, [refused])
    assert await redis.call("DBSIZE") == before
