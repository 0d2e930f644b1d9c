"""The API, served by uvicorn inside the test on a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from app.main import create_app
from app.projects.keys import create_key
from app.server.connection import Connection
from app.settings import (
    ApiSettings,
    DkimSettings,
    RedisSettings,
    Settings,
    TemplateSettings,
    WebhookSettings,
)
from app.settings.rootkeys import SecretSettings
from app.settings.unsubscribing import UnsubscribeSettings
from app.spool.client import Redis
from tests.app.api.client import Client


@pytest.fixture
def settings(valkey_url: str) -> Settings:
    """Settings with small limits, so that tests need no large bodies."""
    return Settings(
        redis=RedisSettings(url=valkey_url),
        api=ApiSettings(max_body_bytes=1_000_000, max_message_bytes=500_000),
        webhooks=WebhookSettings(max_endpoints=3),
        templates=TemplateSettings(
            max_templates=3, max_versions=3, cache=timedelta(milliseconds=1)
        ),
        dkim=DkimSettings(required=False),
        secrets=SecretSettings(key=SecretStr("5f" * 32)),
        unsubscribe=UnsubscribeSettings(base_url="https://mail.shop.example/pillarbox/"),
    )


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    """Connections to the store that the API uses."""
    async with Redis.connect(settings.redis) as redis:
        yield redis


@asynccontextmanager
async def served(app: FastAPI, connection: type[Connection] = Connection) -> AsyncIterator[Client]:
    """Serve `app` on a free port of loopback and yield a client without a key."""
    config = uvicorn.Config(
        app, "127.0.0.1", 0, http=connection, log_config=None, server_header=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                assert not serving.done(), serving.result()
                await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with aiohttp.ClientSession() as session:
            yield Client(session, port)
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """The application, not yet started."""
    return create_app(settings)


@pytest.fixture
async def client(app: FastAPI, redis: Redis) -> AsyncIterator[Client]:
    """A client with a key of the project `shop` that may do everything."""
    key = await create_key(redis, "shop", "test")
    async with served(app) as client:
        yield client.with_key(key)


@pytest.fixture
async def stranger(client: Client, redis: Redis) -> Client:
    """A client with a key of another project that may do everything there."""
    return client.with_key(await create_key(redis, "other", "test"))
