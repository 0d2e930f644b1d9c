"""A DNS server of records for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.dns import DnsServer


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    async with DnsServer() as server:
        yield server
