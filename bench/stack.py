"""Pillarbox as it is measured: an own Valkey that fsyncs each write, one API process, one worker process."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.mail.dkim import Algorithm, generate_pem
from app.processes.valkey import EmbeddedValkey
from app.projects.keys import create_key
from app.settings import RedisSettings
from app.spool.client import Redis
from bench.load import Api
from tests.fakes.processes import Process, api_process, worker_process


@dataclass(frozen=True, slots=True)
class Stack:
    """A running Pillarbox."""

    api: Api
    worker: Process
    worker_url: str
    redis_url: str
    pids: Mapping[str, int]

    def delivered(self) -> int:
        """Return how many recipients the worker has delivered so far."""
        with urllib.request.urlopen(f"{self.worker_url}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        found = re.search(
            r'^pillarbox_outcomes_total\{verdict="delivered"\} ([0-9.e+]+)$', text, re.MULTILINE
        )
        return int(float(found[1])) if found else 0


def to_one_sink(smtp_port: int) -> dict[str, str]:
    """Return the settings that send everything to one SMTP server on loopback."""
    return {"PILLARBOX_DELIVERY__CATCH_ALL": f"127.0.0.1:{smtp_port}"}


def to_many_sites(dns_address: str, smtp_port: int) -> dict[str, str]:
    """Return the settings that send each mail to the site that the DNS server names."""
    return {
        "PILLARBOX_DNS__NAMESERVERS": f'["{dns_address}"]',
        "PILLARBOX_DELIVERY__SMTP_PORT": str(smtp_port),
    }


@contextmanager
def running(directory: Path, way: Mapping[str, str]) -> Iterator[Stack]:
    """Run the processes with their data below `directory`; `way` says where mail is sent."""
    keys = directory / "dkim" / "example.com"
    keys.mkdir(parents=True)
    (keys / "bench.pem").write_bytes(generate_pem(Algorithm.RSA))
    with ExitStack() as stack:
        valkey = stack.enter_context(EmbeddedValkey(directory / "valkey"))
        environment = {
            "PILLARBOX_REDIS__URL": valkey.url,
            "PILLARBOX_REDIS__REQUIRE_DURABLE": "true",
            "PILLARBOX_DELIVERY__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
            "PILLARBOX_DELIVERY__EHLO_NAME": "bench.example.com",
            "PILLARBOX_DKIM__DIRECTORY": str(directory / "dkim"),
            "PILLARBOX_DOMAINS__SHARED": '["example.com"]',
            "PILLARBOX_LOG__LEVEL": "warning",
            **way,
        }
        api, api_url = api_process(environment, directory)
        worker, worker_url = worker_process(environment, directory)
        stack.enter_context(api)
        stack.enter_context(worker)
        api.wait_until_ready(f"{api_url}/readyz")
        worker.wait_until_ready(f"{worker_url}/healthz")
        pids = {"api": api.child.pid, "worker": worker.child.pid, "valkey": valkey.pid}
        key = asyncio.run(_key(valkey.url))
        yield Stack(Api(api_url, key), worker, worker_url, valkey.url, pids)


async def _key(url: str) -> str:
    async with Redis.connect(RedisSettings(url=url)) as redis:
        return await create_key(redis, "bench", "bench")
