"""A server that accepts everything, plain or with pipelining: most tests hold for both."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.smtp import SmtpServer
from tests.worker.smtp.secured import AUTHORITY, LEAF, context
from worker.smtp.tls import Tls


@pytest.fixture(params=["pipelined", "one by one"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as server:
        if request.param == "one by one":
            server.extensions.remove("PIPELINING")
        yield server


@pytest.fixture
async def pipelining() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as server:
        yield server


@pytest.fixture
async def second() -> AsyncIterator[SmtpServer]:
    """Another host, for what the first one does not take."""
    async with SmtpServer("127.0.0.2") as server:
        yield server


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    path = tmp_path_factory.mktemp("tls") / "authorities.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return Tls(path)


@pytest.fixture
async def secured() -> AsyncIterator[SmtpServer]:
    async with SmtpServer(certificate=context(LEAF)) as server:
        server.extensions.append("REQUIRETLS")
        yield server
