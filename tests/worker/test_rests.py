"""Who is left alone after a try: the source at its site, the whole site, or nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from app.events import Category, Peer
from app.ids import new_drain_id
from app.mail.reply import parse_reply
from app.messages import Stream
from app.settings import DkimSettings, RedisSettings, Settings
from app.settings.delivering import DeliverySettings
from app.spool.client import Redis
from app.spool.scripts import Scripts
from app.spool.store import Store
from app.spool.workers.claims import MailClaim, MailLane
from app.spool.workers.lanes import Site
from tests.fakes.letters import PROJECT, Letter, keep
from worker.main import open_resources
from worker.outcomes.outcome import Outcome, Verdict
from worker.resources import Resources
from worker.settle import settle
from worker.smtp.attempt import Attempted

NOW = datetime.now(UTC)
SITE = Site("mx.example.org", first_window=5, window=20, rest=timedelta(seconds=60))
SYSTEMS = Peer("mx.example.org", "192.0.2.1")
OUT1 = Peer("mx.example.org", "192.0.2.1", None, "out1", "192.0.2.7")
Said = tuple[Peer, str | None]
LIMIT, BUSY = "451 4.7.1 Rate limit exceeded", "421 4.3.2 Server busy"
LISTED = "554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org"


@pytest.fixture
async def resources(valkey_url: str) -> AsyncIterator[Resources]:
    settings = Settings(
        redis=RedisSettings(url=valkey_url),
        delivery=DeliverySettings(ehlo_name="mx.example.com"),
        dkim=DkimSettings(required=False),
    )
    async with Redis.connect(settings.redis) as redis, open_resources(settings, redis) as built:
        yield built


async def try_one(resources: Resources, verdict: Verdict, category: Category, said: Said) -> None:
    """Let a mail at the site come to this."""
    scripts = Scripts.of(resources.redis.keys, resources.settings)
    await keep(Store(resources.redis, scripts, resources.settings.retention), Letter())
    lane = MailLane(PROJECT, Stream.TRANSACTIONAL, "example.org")
    claim = await resources.lanes.begin(lane, new_drain_id())
    assert isinstance(claim, MailClaim)
    await resources.lanes.enter(claim, SITE)
    peer, reply = said
    parsed = parse_reply([reply.encode()]) if reply else None
    alone = verdict is Verdict.BLOCKED and not peer.source
    wait = timedelta(hours=1) if alone else timedelta(0)
    outcome = Outcome(verdict, category, parsed, "what happened", peer, wait=wait)
    attempted = Attempted((outcome,), (), NOW, NOW, SITE.name if peer.source else None)
    await settle(claim, attempted, resources, go_on=False)


async def rests(resources: Resources) -> tuple[bool, bool]:
    """Tell whether the source rests at the site, and whether the site does."""
    redis = resources.redis
    source = await redis.call("ZSCORE", redis.keys.rests + SITE.name, "out1")
    site = await redis.call("HGET", redis.keys.site + SITE.name, "dead_until")
    return source is not None, site is not None


@pytest.mark.parametrize(
    ("verdict", "said", "source", "site"),
    [
        (Verdict.BLOCKED, (OUT1, LISTED), True, False),
        (Verdict.DEFERRED, (OUT1, LIMIT), True, False),
        (Verdict.UNREACHED, (OUT1, BUSY), False, True),
        (Verdict.DEFERRED, (OUT1, "451 4.7.1 Greylisted"), False, False),
        (Verdict.DEFERRED, (SYSTEMS, LIMIT), False, True),
        (Verdict.BLOCKED, (SYSTEMS, LISTED), False, True),
        (Verdict.BOUNCED, (SYSTEMS, "550 5.7.1 Rejected as spam"), False, False),
    ],
)
async def test_what_is_said_of_a_source_lets_it_rest_and_the_site_go_on(
    resources: Resources, verdict: Verdict, said: Said, source: bool, site: bool
) -> None:
    await try_one(resources, verdict, Category.REPUTATION, said)
    assert await rests(resources) == (source, site)
    counted = b'pillarbox_source_rests_total{source="out1"} 1.0' in resources.metrics.exposition()
    assert counted is source


@pytest.mark.parametrize(
    ("verdict", "category", "is_blamed"),
    [
        (Verdict.UNREACHED, Category.NETWORK, True),
        (Verdict.UNREACHED, Category.LOCAL, False),
        (Verdict.BLOCKED, Category.REPUTATION, False),
    ],
)
async def test_a_site_is_blamed_for_what_it_did_and_not_for_our_own_trouble(
    resources: Resources, verdict: Verdict, category: Category, is_blamed: bool
) -> None:
    await try_one(resources, verdict, category, (OUT1, None))
    key = resources.redis.keys.site + SITE.name
    assert (await resources.redis.call("HGET", key, "cohorts") is not None) is is_blamed
