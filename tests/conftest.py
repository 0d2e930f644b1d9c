"""Fixtures that every test may use: a real Valkey server and clean keys in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings

from tests.fakes.valkey import ValkeyServer

# What tests send comes from many domains; those about the rule that these are verified switch it on.
os.environ.setdefault("PILLARBOX_DOMAINS__REQUIRED", "false")

# Property tests say what holds, not how fast: a loaded machine must not fail them.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """A Valkey server for the whole run (one for each xdist worker), durable as in production."""
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def valkey_url(valkey: ValkeyServer) -> str:
    """The URL of the shared server, with no keys in it."""
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    return valkey.url


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A Valkey server for this test alone, so that it may be killed, frozen and restarted."""
    with ValkeyServer(tmp_path / "valkey") as server:
        yield server
