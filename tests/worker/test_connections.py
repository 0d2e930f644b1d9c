"""How many connections a worker may have."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from app.settings import WorkerSettings
from worker.main import allow_connections


@pytest.fixture
def few_files() -> Iterator[None]:
    """Start like a process of a system that is careful: with 1,024 open files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few_files")
def test_a_worker_may_have_a_connection_for_each_of_its_drains() -> None:
    allow_connections()
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft > 2 * WorkerSettings().drains
