"""The page of the API shows what the OpenAPI document says, as text."""

from __future__ import annotations

from pathlib import Path

from app.main import create_app
from app.settings import DkimSettings, MailboxSettings, Settings
from tests.fakes.asgi import get

HOST = {"Host": "127.0.0.1:8080"}


async def test_every_call_and_type_is_on_the_page(tmp_path: Path) -> None:
    settings = Settings(
        dkim=DkimSettings(required=False), mailbox=MailboxSettings(directory=tmp_path)
    )
    app = create_app(settings)
    answer = await get(app, "/docs", HOST)
    assert answer.status == 200
    document = app.openapi()
    for path, calls in document["paths"].items():
        assert f"<code>{path}</code>" in answer.text
        assert all(f'id="{call["operationId"]}"' in answer.text for call in calls.values())
    assert all(f'id="{name}"' in answer.text for name in document["components"]["schemas"])


async def test_the_pages_of_development_are_not_in_production(tmp_path: Path) -> None:
    app = create_app(Settings(dkim=DkimSettings(required=False)))
    for path in ("/", "/docs", "/mailbox", "/mailbox/list", f"/mailbox/{tmp_path.name}"):
        assert (await get(app, path, HOST)).status == 404
