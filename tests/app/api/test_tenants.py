"""Projects never see each other: everything foreign does not exist."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI

from tests.app.api.client import Client

BODIES: Mapping[str, bytes] = {
    "add_template_version": b'{"text": "Hi"}',
    "choose_template_version": b'{"version": 1}',
    "preview_template": b"{}",
    "import_domain_key": b'{"selector": "s1", "private_key": "x"}',
}
"""What calls with an id take, where they take a body."""


async def test_every_call_with_a_foreign_id_is_404(
    app: FastAPI, client: Client, stranger: Client
) -> None:
    sent = await client.send()
    made = await client.post("/endpoints", {"url": "https://shop.example/hook"})
    await client.post("/suppressions", {"addresses": ["ada@example.com"]})
    own = {"message_id": sent.text_at("/id"), "endpoint_id": made.text_at("/id")}
    own |= {"template_name": "welcome", "version": "1"}
    await client.post("/templates", {"name": "welcome", "text": "Hello"})
    own["address"] = "ada@example.com"
    await client.post("/domains", {"name": "shop.example"})
    own["domain_name"] = "shop.example"
    own["selector"] = "s1"
    swept = 0
    for path, calls in app.openapi()["paths"].items():
        if "{" not in path:
            continue
        for method, call in calls.items():
            body = BODIES[call["operationId"]] if "requestBody" in call else b""
            headers = {"Content-Type": "application/json"}
            answer = await stranger.call(
                method.upper(), path.format(**own), body=body, headers=headers
            )
            assert (answer.status, answer.code) == (404, "not_found"), (method, path)
            swept += 1
    assert swept >= 12
    assert (await client.get(f"/endpoints/{own['endpoint_id']}")).status == 200
    assert (await client.get("/templates/welcome")).at("/versions") == [1]
    assert (await client.get("/domains/shop.example")).status == 200
    assert (await client.get("/suppressions/ada@example.com")).status == 200


async def test_lists_hold_nothing_foreign(client: Client, stranger: Client) -> None:
    await client.post("/endpoints", {"url": "https://shop.example/hook"})
    await client.post("/templates", {"name": "welcome", "text": "Hello"})
    await client.post("/suppressions", {"addresses": ["ada@example.com"]})
    await client.post("/domains", {"name": "shop.example"})
    for path in ("/endpoints", "/templates", "/suppressions", "/domains"):
        assert (await stranger.get(path)).at("/data") == []
    assert (await stranger.get("/suppressions/export")).body == b""


async def test_every_call_but_health_needs_a_key(app: FastAPI, client: Client) -> None:
    for path, calls in app.openapi()["paths"].items():
        for method, call in calls.items():
            answer = await client.with_key(None).call(method.upper(), path)
            assert (answer.status == 401) == ("security" in call), (method, path)
            assert ("security" in call) == (not path.endswith("z")), (method, path)
