"""A claim whose first recipient finds every source at its ceiling."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.ids import DrainId
from app.messages import RecipientState, Status, Stream
from app.settings import DkimSettings, RedisSettings, Settings
from app.settings.delivering import DeliverySettings, DnsSettings
from app.spool.client import Redis
from app.spool.workers.claims import MailClaim, MailLane
from tests.fakes.dns import DnsServer
from tests.fakes.letters import PROJECT, Letter
from worker.claims.share import share_of
from worker.main import open_resources
from worker.outcomes.outcome import Verdict
from worker.routing.hosts import Host
from worker.sites.sources import Pool, Source, WarmUp

HOSTS = (Host("mx.example.org", "192.0.2.1", 10),)
MET = RecipientState(Status.DEFERRED, attempts=1, source="out1")


async def test_only_recipients_that_no_source_had_before_wait_for_tomorrow(
    valkey_url: str,
) -> None:
    settings = Settings(
        redis=RedisSettings(url=valkey_url),
        delivery=DeliverySettings(ehlo_name="mx.example.com"),
        dkim=DkimSettings(required=False),
    )
    starts = datetime.now(UTC).date() + timedelta(days=2)
    source = Source("out1", "out1.example.com", "192.0.2.7", warm_up=WarmUp(starts, (1,)))
    claim = MailClaim(
        lane=MailLane(PROJECT, Stream.TRANSACTIONAL, "example.org"),
        drain=DrainId("drn_1"),
        turn=1,
        failures=0,
        indexes=(0, 1, 2),
        message=Letter(to=("a@example.org", "b@example.org", "c@example.org")).message(),
        raw=b"",
        states=(RecipientState(), MET, RecipientState()),
    )
    async with (
        DnsServer() as dns,
        Redis.connect(settings.redis) as redis,
        open_resources(
            settings.model_copy(update={"dns": DnsSettings(nameservers=(dns.address,))}), redis
        ) as built,
    ):
        pools = {Stream.TRANSACTIONAL: Pool("all", frozenset(Stream), (source,))}
        outcomes = await share_of(claim, HOSTS, "mx.example.org", replace(built, pools=pools))
    assert isinstance(outcomes, tuple)
    assert {outcome.verdict for outcome in outcomes} == {Verdict.WAITING}
    assert [outcome.wait > timedelta(0) for outcome in outcomes] == [True, False, True]
