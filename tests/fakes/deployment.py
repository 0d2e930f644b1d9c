"""A whole Pillarbox on loopback: real Valkey, real processes, and a client that asks like an application."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp
import orjson

from app.projects.keys import create_key
from app.settings import RedisSettings
from app.spool.client import Redis
from app.wire import Json
from tests.fakes.dns import DnsServer
from tests.fakes.processes import Process, api_process, worker_process
from tests.fakes.smtp import Mail
from tests.fakes.valkey import ValkeyServer
from tests.fakes.waiting import eventually

FINAL = {"delivered", "bounced", "expired", "unknown", "suppressed"}
UNSUBSCRIBE_URL = "https://mail.example.com"
"""Where links to unsubscribe lead; no name server knows it."""
Answer = dict[str, Json]


@dataclass(frozen=True)
class Deployment:
    """The running parts. Everything that waits is short: leases 2 s, retries 0.3 s, rests of a lane 0.3 s."""

    valkey: ValkeyServer
    api: Process
    api_url: str
    workers: Sequence[Process]
    session: aiohttp.ClientSession

    @property
    def worker(self) -> Process:
        """The only worker, or the first."""
        return self.workers[0]

    async def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer:
        """Return the JSON of a successful answer."""
        data = orjson.dumps(body) if body is not None else None
        headers = {"Content-Type": "application/json"} if data else {}
        async with self.session.request(
            method, self.api_url + path, data=data, headers=headers
        ) as answer:
            text = await answer.read()
            assert answer.status < HTTPStatus.BAD_REQUEST, text
            found = orjson.loads(text)
            assert isinstance(found, dict)
            return found

    async def send(self, *to: str, **fields: object) -> str:
        """Send a message and return its id."""
        message = {
            "from": "sender@example.com",
            "to": list(to),
            "subject": "hello",
            "text": "Hello!\n",
            **fields,
        }
        return str((await self.ask("POST", "/messages", message))["id"])

    async def insist(self, key: str, message: Mapping[str, object]) -> str:
        """Send until it is accepted, whatever happens to the processes: the same key makes a repetition safe."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        url, body = f"{self.api_url}/messages", orjson.dumps(message)
        while True:
            try:
                async with self.session.post(url, data=body, headers=headers) as answer:
                    if answer.status == HTTPStatus.ACCEPTED:
                        return str(orjson.loads(await answer.read())["id"])
                    assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE, await answer.text()
                    assert int(answer.headers["Retry-After"]) > 0
            except aiohttp.ClientError:
                pass  # the API was killed; nobody knows whether it took the message
            await asyncio.sleep(0.1)

    async def refuses_mail(self) -> bool:
        """Tell whether the API says 503 and when to come again."""
        body = b'{"from": "a@example.com", "to": "b@example.org", "subject": "", "text": "x"}'
        headers, url = {"Content-Type": "application/json"}, f"{self.api_url}/messages"
        async with self.session.post(url, data=body, headers=headers) as answer:
            assert answer.status in {HTTPStatus.ACCEPTED, HTTPStatus.SERVICE_UNAVAILABLE}
            is_refused = answer.status == HTTPStatus.SERVICE_UNAVAILABLE
            return is_refused and int(answer.headers["Retry-After"]) > 0

    async def statuses(self, message: str) -> dict[str, str]:
        """Return the status of each recipient."""
        found = (await self.ask("GET", f"/messages/{message}"))["recipients"]
        return {str(each["address"]): str(each["status"]) for each in rows(found)}

    async def settled(self, message: str) -> dict[str, str]:
        """Wait until every recipient has a final status, and return them."""

        async def look() -> dict[str, str] | None:
            found = await self.statuses(message)
            return found if set(found.values()) <= FINAL else None

        found = await eventually(look)
        assert found is not None
        return found

    async def events(self, message: str) -> list[dict[str, Json]]:
        """Return the events of a message; their numbers have no gaps."""
        found = rows((await self.ask("GET", f"/messages/{message}/events"))["data"])
        assert breaches(found) == []
        return found

    async def told(self, message: str) -> list[str]:
        """Return what happened, in short: the types of the events without `message.`."""
        return [str(event["type"]).removeprefix("message.") for event in await self.events(message)]

    async def attempts(self, message: str) -> list[dict[str, Json]]:
        """Return the attempts of a message."""
        return rows((await self.ask("GET", f"/messages/{message}/attempts"))["data"])

    async def lose_worker(self) -> None:
        """Kill the worker and start another in its place."""
        await asyncio.to_thread(self.worker.kill)
        self.worker.start()

    async def ready(self, process: Process, url: str) -> None:
        """Wait until a process that was started answers."""
        await asyncio.to_thread(process.wait_until_ready, url)


def breaches(events: Sequence[Mapping[str, Json]]) -> list[str]:
    """Return what is wrong with a history: its numbers have no gaps, and no recipient goes on after its end."""
    found = []
    if [data(event)["sequence"] for event in events] != list(range(1, len(events) + 1)):
        found.append("its numbers have gaps")
    kinds: dict[Json, list[str]] = {}
    for event in _of_status(events):
        kind = str(event["type"]).removeprefix("message.")
        kinds.setdefault(data(event)["recipient_id"], []).append(kind)
    for recipient, told in kinds.items():
        if (told[0] != "queued" and told != ["suppressed"]) or FINAL & set(told[:-1]):
            found.append(f"{recipient} went {told}")
    return found


def has_ended(events: Sequence[Mapping[str, Json]]) -> bool:
    """Tell whether each recipient of a history has reached its end."""
    last = {data(event)["recipient_id"]: str(event["type"]) for event in _of_status(events)}
    return all(kind.removeprefix("message.") in FINAL for kind in last.values())


def _of_status(events: Sequence[Mapping[str, Json]]) -> list[Mapping[str, Json]]:
    """Leave out that somebody unsubscribed: it may come at any time, and says nothing of the status."""
    return [event for event in events if event["type"] != "message.unsubscribed"]


def rows(value: Json) -> list[dict[str, Json]]:
    """Return a list of objects."""
    assert isinstance(value, list)
    found = [row for row in value if isinstance(row, dict)]
    assert len(found) == len(value)
    return found


def data(event: Mapping[str, Json]) -> dict[str, Json]:
    """Return the `data` of an event."""
    found = event["data"]
    assert isinstance(found, dict)
    return found


def delivery(event: Mapping[str, Json]) -> dict[str, Json]:
    """Return what an event says of the try."""
    found = data(event)["delivery"]
    assert isinstance(found, dict)
    return found


def ledger(mails: Sequence[Mail]) -> Counter[str]:
    """Count the copies of each message by its Message-ID, which is the same in all of them."""
    found = (re.search(rb"(?im)^message-id: <([0-9a-f]{32})@", mail.content) for mail in mails)
    return Counter(f"msg_{match[1].decode()}" for match in found if match)


def _environment(valkey: ValkeyServer, dns: DnsServer, smtp_port: int) -> dict[str, str]:
    timeouts = ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "BLOCK", "DOT")
    return {
        "PILLARBOX_REDIS__URL": valkey.url,
        "PILLARBOX_REDIS__REQUIRE_DURABLE": "true",
        "PILLARBOX_DNS__NAMESERVERS": f'["{dns.address}"]',
        "PILLARBOX_DNS__QUERY_TIMEOUT": "1",
        "PILLARBOX_DELIVERY__SMTP_PORT": str(smtp_port),
        "PILLARBOX_DELIVERY__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
        "PILLARBOX_DELIVERY__EHLO_NAME": "out.example.com",
        "PILLARBOX_DELIVERY__RETRY_AFTER": "[0.3]",
        "PILLARBOX_DELIVERY__SITE_BACK_OFF": "[0.3]",
        "PILLARBOX_DELIVERY__SITE_REST": "1",
        "PILLARBOX_DELIVERY__LEASE": "2",
        "PILLARBOX_WEBHOOKS__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
        "PILLARBOX_WEBHOOKS__RETRY_AFTER": "[0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]",
        "PILLARBOX_WEBHOOKS__BACK_OFF": "[0.2]",
        "PILLARBOX_DKIM__REQUIRED": "false",
        "PILLARBOX_DOMAINS__REQUIRED": "false",
        "PILLARBOX_SECRETS__KEY": "5f" * 32,
        "PILLARBOX_UNSUBSCRIBE__BASE_URL": UNSUBSCRIBE_URL,
        **{f"PILLARBOX_DELIVERY__TIMEOUTS__{name}": "20" for name in timeouts},
    }


@asynccontextmanager
async def deployed(
    directory: Path,
    dns: DnsServer,
    smtp_port: int,
    *,
    workers: int = 1,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Deployment]:
    """Run everything with its data below `directory`; `settings` are further environment variables."""
    async with AsyncExitStack() as stack:
        valkey = stack.enter_context(ValkeyServer(directory / "valkey"))
        environment = {**_environment(valkey, dns, smtp_port), **(settings or {})}
        api, api_url = api_process(environment, directory)
        works = [worker_process(environment, directory, f"worker{n}") for n in range(workers)]
        for process in (api, *(work for work, _ in works)):
            stack.enter_context(process)
        headers = {"Authorization": f"Bearer {await _key(valkey.url)}"}
        session = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
        deployment = Deployment(valkey, api, api_url, [work for work, _ in works], session)
        await deployment.ready(api, f"{api_url}/readyz")
        for work, url in works:
            await deployment.ready(work, f"{url}/healthz")
        yield deployment


async def _key(url: str) -> str:
    async with Redis.connect(RedisSettings(url=url)) as redis:
        return await create_key(redis, "acme", "scenario")
