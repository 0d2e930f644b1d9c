"""Dry runs over the whole path: what a worker finds of hosts, policies and DMARC, and what it cannot find."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.mail.dkim import Algorithm, generate_pem
from app.settings import RedisSettings
from app.spool.client import Redis
from app.spool.replies import as_bytes, as_list
from app.wire import Json
from tests.fakes.deployment import Answer, Deployment, deployed, rows
from tests.fakes.dns import DnsServer, Trouble
from tests.fakes.smtp import SmtpServer

GOOD: Mapping[str, object] = {
    "from": "The Shop <hello@shop.example>",
    "to": ["Ada <ada@example.org>"],
    "subject": "Your order 1815 has shipped",
    "html": "<h1>Shipped</h1><p>It will be with you on <a href='https://shop.example/1815'>Friday</a>.</p>",
}


@dataclass
class World:
    dns: DnsServer
    server: SmtpServer
    pillarbox: Deployment

    async def rehearse(self, **fields: object) -> Answer:
        return await self.pillarbox.ask("POST", "/messages?dry_run=true", {**GOOD, **fields})

    async def names(self) -> set[bytes]:
        """Return the names of all that Redis keeps, but for jobs and answers of some seconds."""
        passing = (b"inquiry", b"arq", b"queue")
        async with Redis.connect(RedisSettings(url=self.pillarbox.valkey.url)) as redis:
            found = [as_bytes(name) for name in as_list(await redis.call("KEYS", "*"))]
        return {name for name in found if not any(each in name for each in passing)}


@pytest.fixture
async def world(tmp_path: Path, dns: DnsServer) -> AsyncIterator[World]:
    keys = tmp_path / "keys"
    (keys / "shop.example").mkdir(parents=True)
    (keys / "shop.example" / "s1.pem").write_bytes(generate_pem(Algorithm.ED25519))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(SmtpServer())
        dns.mx("example.org", (10, "mx.example.org"))
        dns.a("mx.example.org", server.host)
        dns.txt("_dmarc.shop.example", "v=DMARC1; p=reject; adkim=s")
        settings = {
            "PILLARBOX_DKIM__DIRECTORY": str(keys),
            "PILLARBOX_DNS__QUERY_TIMEOUT": "5",
            "PILLARBOX_DNS__DRY_RUN": "2",
        }
        pillarbox = await stack.enter_async_context(
            deployed(tmp_path, dns, server.port, settings=settings)
        )
        yield World(dns, server, pillarbox)


def codes(answer: Answer) -> list[Json]:
    return [each["code"] for each in rows(answer["warnings"])]


async def test_nothing_is_said_of_a_good_mail_and_nothing_is_sent_or_kept(world: World) -> None:
    before = await world.names()
    answer = await world.rehearse()
    assert answer["warnings"] == []
    (domain,) = rows(answer["domains"])
    assert (domain["domain"], domain["tls_policy"]) == ("example.org", "opportunistic")
    assert domain["mx"] == [
        {
            "host": "mx.example.org",
            "preference": 10,
            "tls_policy": "opportunistic",
            "barred": None,
        }
    ]
    alignment = answer["alignment"]
    assert isinstance(alignment, dict)
    assert alignment["dmarc"] == {
        "name": "_dmarc.shop.example",
        "policy": "reject",
        "dkim": "strict",
        "spf": "relaxed",
    }
    assert (alignment["dkim_aligned"], alignment["spf_aligned"]) == (True, True)
    assert await world.names() == before
    assert not world.server.sessions
    # Sending goes the way that was told.
    sent = await world.pillarbox.ask("POST", "/messages", GOOD)
    assert set((await world.pillarbox.settled(str(sent["id"]))).values()) == {"delivered"}


async def test_what_is_in_the_way_of_each_domain_is_told(world: World) -> None:
    world.dns.mx("null.example", (0, "."))
    world.dns.trouble("slow.example", Trouble.SILENCE)
    to = [f"ada@{domain}" for domain in ("null.example", "nowhere.example", "slow.example")]
    answer = await world.rehearse(to=to, tls="require", cc="ben@example.org")
    domains = {each["domain"]: each for each in rows(answer["domains"])}
    problems = [each["problem"] for each in domains.values()]
    found = [each["code"] if isinstance(each, dict) else each for each in problems]
    assert found == ["takes_no_mail", "unknown", None, None]
    assert domains["slow.example"]["mx"] is None
    assert domains["example.org"]["tls_policy"] == "requiretls"
    assert sorted(map(str, codes(answer))) == [
        "domain_not_safe",
        "domain_takes_no_mail",
        "domain_unknown",
        "not_looked_up",
    ]


async def test_without_a_worker_the_rest_is_told(world: World) -> None:
    world.pillarbox.worker.kill()
    answer = await world.rehearse(subject="")
    assert codes(answer) == ["subject_empty", "not_looked_up", "not_looked_up"]
    assert rows(answer["copies"])[0]["raw"]
