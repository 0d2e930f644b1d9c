"""What is counted of TLS, for whom, and when it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ids import new_drain_id
from app.settings import RedisSettings
from app.spool.client import Redis
from app.spool.scripts import Scripts
from app.spool.workers.lanes import Lanes
from app.spool.workers.policies import Mode, PolicyShelf, StsPolicy
from app.spool.workers.reports import TlsClaim, TlsLane, TlsLedger
from tests.app.spool.conftest import Spool, spool, spool_settings
from tests.fakes.dns import DnsServer, Trouble
from tests.fakes.valkey import ValkeyServer
from tests.fakes.waiting import eventually
from tests.worker.reports.published import publications
from worker.outcomes.handshake import Asked, Handshake, PolicyKind, TlsFailure
from worker.reports.tlsrpt import HANDSHAKE, TlsReports, due_at, parse_record

__all__ = ["spool"]

DOMAIN = "x.example"
TODAY = date(2026, 3, 1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SAFE = Handshake(host="mx.x.example", address="192.0.2.1", local="192.0.2.9")
PLAIN = Handshake(TlsFailure.NO_STARTTLS, "mx.x.example", "192.0.2.1", "192.0.2.9")
RECORD = "v=TLSRPTv1; rua=mailto:tls@x.example"


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    async with DnsServer() as server:
        server.txt(f"_smtp._tls.{DOMAIN}", RECORD)
        yield server


@asynccontextmanager
async def collector(
    redis: Redis,
    dns: DnsServer,
    clock: Callable[[], datetime] = lambda: NOON,
    *,
    wanted: bool = True,
) -> AsyncIterator[TlsReports]:
    scripts = Scripts.of(redis.keys, spool_settings("redis://unused"))
    async with publications(redis, dns) as published:
        yield TlsReports(TlsLedger(redis, scripts), published, clock, is_wanted=wanted)


async def counted(spool: Spool) -> dict[tuple[str, str], dict[Handshake, int]]:
    """Return what waits to be reported, by domain and day; all of it is made due first."""
    lane, found = TlsLane(), {}
    members = await spool.redis.call("ZRANGE", spool.redis.keys.due + lane.name, 0, -1)
    assert isinstance(members, list)
    for member in members:
        assert isinstance(member, bytes)
        await spool.redis.call("ZADD", spool.redis.keys.due + lane.name, 0, member)
        claim = await spool.lanes.begin(lane, new_drain_id())
        assert isinstance(claim, TlsClaim)
        counts = {HANDSHAKE.decode(field): times for field, times in claim.counts.items()}
        found[claim.domain, claim.day.isoformat()] = counts
    return found


async def test_handshakes_of_all_workers_add_up(spool: Spool, dns: DnsServer) -> None:
    async with collector(spool.redis, dns) as one, collector(spool.redis, dns) as other:
        one.note(DOMAIN, [SAFE, PLAIN, SAFE])
        await one.flush()
        one.note(DOMAIN, [SAFE])
        other.note(DOMAIN, [SAFE, PLAIN])
        await one.flush()
        await other.flush()
    assert await counted(spool) == {(DOMAIN, "2026-03-01"): {SAFE: 4, PLAIN: 2}}


async def test_each_day_and_each_policy_counts_apart(spool: Spool, dns: DnsServer) -> None:
    now = [NOON]
    asked = Asked(PolicyKind.TLSA, ("3 1 1 00",))
    bound = Handshake(TlsFailure.EXPIRED, "mx.x.example", asked=asked)
    async with collector(spool.redis, dns, lambda: now[0]) as reports:
        reports.note(DOMAIN, [SAFE, bound])
        now[0] += timedelta(days=1)
        reports.note(DOMAIN, [SAFE])
        now[0] = NOON + timedelta(hours=6)
        await reports.flush()
    assert await counted(spool) == {
        (DOMAIN, "2026-03-01"): {SAFE: 1, bound: 1},
        (DOMAIN, "2026-03-02"): {SAFE: 1},
    }


async def test_a_session_under_mta_sts_is_counted_with_the_text_of_the_policy(
    spool: Spool, dns: DnsServer
) -> None:
    now = datetime.now(UTC)
    hosts, life = ("mx.x.example", "*.mx.x.example"), timedelta(days=7)
    policy = StsPolicy("1", Mode.TESTING, hosts, now, now + life)
    shelf = PolicyShelf(spool.redis, Scripts.of(spool.redis.keys, spool_settings("redis://unused")))
    await shelf.keep(DOMAIN, policy, life)
    listed, other = (
        Handshake(host=name, asked=Asked(PolicyKind.STS)) for name in ("mx.x.example", "y.example")
    )
    async with collector(spool.redis, dns) as reports:
        reports.note(DOMAIN, [listed, other])
        await reports.flush()
    (counts,) = (await counted(spool)).values()
    stated = Asked(
        PolicyKind.STS,
        (
            "version: STSv1",
            "mode: testing",
            "mx: mx.x.example",
            "mx: *.mx.x.example",
            "max_age: 604800",
        ),
        hosts,
    )
    unlisted = Handshake(
        TlsFailure.VALIDATION,
        "y.example",
        reason="the host is not among those of the policy",
        asked=stated,
    )
    assert counts == {Handshake(host="mx.x.example", asked=stated): 1, unlisted: 1}


async def test_counting_waits_for_no_policy_host(spool: Spool, dns: DnsServer) -> None:
    dns.txt(f"_mta-sts.{DOMAIN}", "v=STSv1; id=2;")
    asked = Handshake(host="mx.x.example", asked=Asked(PolicyKind.STS))
    async with collector(spool.redis, dns) as reports:
        reports.note(DOMAIN, [asked])
        await reports.flush()
    assert await counted(spool) == {(DOMAIN, "2026-03-01"): {asked: 1}}
    assert {name for name, _ in dns.questions} == {f"_smtp._tls.{DOMAIN}"}


async def test_a_policy_that_cannot_be_had_is_told_beside_how_tls_went_without_it(
    spool: Spool, dns: DnsServer
) -> None:
    dns.txt(f"_mta-sts.{DOMAIN}", "v=STSv1; id=1;")
    async with publications(spool.redis, dns) as published:
        assert await published.policies.policy(DOMAIN) is None
        plain, missed = await published.stated(DOMAIN, SAFE)
        assert plain == SAFE
        assert (missed.failure, missed.asked) == (TlsFailure.STS_FETCH, Asked(PolicyKind.STS))
        assert "no address" in missed.reason


async def test_only_domains_that_want_reports_are_counted(spool: Spool, dns: DnsServer) -> None:
    dns.trouble("_smtp._tls.unknown.example", Trouble.SERVFAIL)
    async with collector(spool.redis, dns) as reports:
        for domain in (DOMAIN, "none.example", "unknown.example"):
            reports.note(domain, [SAFE])
        await reports.flush()
    # Where the DNS cannot tell now, it is asked again when the report is due.
    assert {domain for domain, _ in await counted(spool)} == {DOMAIN, "unknown.example"}


async def test_nothing_is_noted_where_no_reports_are_sent(spool: Spool, dns: DnsServer) -> None:
    async with collector(spool.redis, dns, wanted=False) as reports:
        reports.note(DOMAIN, [SAFE])
        await reports.flush()
    assert await counted(spool) == {}
    assert dns.questions == {}


async def test_a_domain_with_endless_hosts_is_counted_in_fewer_words(
    spool: Spool, dns: DnsServer
) -> None:
    many = [Handshake(TlsFailure.NO_STARTTLS, f"mx{n}.x.example") for n in range(300)]
    async with collector(spool.redis, dns) as reports:
        reports.note(DOMAIN, many)
        await reports.flush()
    (counts,) = (await counted(spool)).values()
    assert len(counts) <= 201
    assert sum(counts.values()) == 300
    assert counts[Handshake(TlsFailure.NO_STARTTLS)] >= 100


async def test_a_domain_with_endless_policies_does_not_fill_redis(
    spool: Spool, dns: DnsServer
) -> None:
    asked = [Asked(PolicyKind.TLSA, (f"3 1 1 {n:064x}",)) for n in range(500)]
    many = [Handshake(TlsFailure.VALIDATION, "mx.x.example", asked=each) for each in asked]
    async with collector(spool.redis, dns) as reports:
        reports.note(DOMAIN, many)
        await reports.flush()
    (counts,) = (await counted(spool)).values()
    assert len(counts) <= 201
    assert sum(counts.values()) == 500
    assert counts[Handshake(TlsFailure.VALIDATION, asked=Asked(PolicyKind.TLSA))] >= 300


async def test_of_an_endless_policy_the_beginning_is_kept(spool: Spool, dns: DnsServer) -> None:
    strings = tuple(f"3 1 0 {n:x}" + "0" * 60_000 for n in range(1000))
    endless = Handshake(TlsFailure.VALIDATION, asked=Asked(PolicyKind.TLSA, strings, strings))
    async with collector(spool.redis, dns) as reports:
        reports.note(DOMAIN, [endless, SAFE])
        await reports.flush()
    (counts,) = (await counted(spool)).values()
    assert sum(counts.values()) == 2
    assert max(len(HANDSHAKE.encode(each)) for each in counts) < 30_000
    (told,) = (each for each in counts if each.asked.strings)
    assert told.asked.strings[0] == strings[0][:255]


async def test_what_comes_after_the_report_is_made_is_not_counted(
    spool: Spool, dns: DnsServer
) -> None:
    now = [NOON]
    async with collector(spool.redis, dns, lambda: now[0]) as reports:
        reports.note(DOMAIN, [SAFE])
        now[0] = due_at(TODAY, DOMAIN)
        await reports.flush()
    assert await counted(spool) == {}


async def test_counts_wait_in_memory_while_redis_is_away(
    own_valkey: ValkeyServer, dns: DnsServer
) -> None:
    settings = spool_settings(own_valkey.url)
    async with Redis.connect(RedisSettings(url=own_valkey.url)) as redis:
        lanes = Lanes(redis, Scripts.of(redis.keys, settings), settings.retention.settled)
        async with collector(redis, dns) as reports:
            own_valkey.kill()
            reports.note(DOMAIN, [SAFE])
            await reports.flush()
            own_valkey.start()
            reports.note(DOMAIN, [SAFE])
            await reports.flush()
        await redis.call("ZADD", redis.keys.due + TlsLane().name, 0, f"tls/2026-03-01/{DOMAIN}")
        claim = await lanes.begin(TlsLane(), new_drain_id())
    assert isinstance(claim, TlsClaim)
    assert {HANDSHAKE.decode(field): n for field, n in claim.counts.items()} == {SAFE: 2}


async def test_counts_are_kept_when_handing_them_over_is_cut_short(
    spool: Spool, dns: DnsServer
) -> None:
    dns.trouble(f"_smtp._tls.{DOMAIN}", Trouble.SILENCE)
    async with collector(spool.redis, dns) as reports:
        reports.note(DOMAIN, [SAFE])
        handing_over = asyncio.create_task(reports.flush())

        async def asked() -> bool:
            return bool(dns.questions)

        await eventually(asked)
        handing_over.cancel()
        await asyncio.wait({handing_over})
        assert handing_over.cancelled()
        dns.heal(f"_smtp._tls.{DOMAIN}")
        await reports.flush()
    assert await counted(spool) == {(DOMAIN, "2026-03-01"): {SAFE: 1}}


@given(
    day=st.dates(date(2000, 1, 1), date(2100, 1, 1)),
    domain=st.from_regex(r"[a-z]{1,20}\.example", fullmatch=True),
)
def test_a_report_is_made_some_hours_after_its_day(day: date, domain: str) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    assert timedelta(minutes=15) <= due_at(day, domain) - midnight <= timedelta(hours=4)


def test_reports_of_different_domains_are_made_at_different_times() -> None:
    times = {due_at(TODAY, f"x{n}.example") for n in range(100)}
    assert len(times) == 100
    assert max(times) - min(times) > timedelta(hours=3)


@pytest.mark.parametrize(
    ("texts", "uris"),
    [
        ([b"v=TLSRPTv1; rua=mailto:a@x.example"], ["mailto:a@x.example"]),
        ([b"v=TLSRPTv1;rua=mailto:a@x.example;"], ["mailto:a@x.example"]),
        (
            [b"v=TLSRPTv1; rua=https://x.example/v1 , mailto:a@x.example"],
            ["https://x.example/v1", "mailto:a@x.example"],
        ),
        ([b"v=TLSRPTv1; ext=1; rua=mailto:a@x.example"], ["mailto:a@x.example"]),
        ([b"v=spf1 -all", b"v=TLSRPTv1; rua=mailto:a@x.example"], ["mailto:a@x.example"]),
        ([b"v=TLSRPTv1; rua=mailto:a@x.example"] * 2, []),
        ([b"v=TLSRPTv2; rua=mailto:a@x.example"], []),
        ([b"v=TLSRPTv12; rua=mailto:a@x.example"], []),
        ([b"v=TLSRPTv1"], []),
        ([b"v=TLSRPTv1; rua="], []),
        ([b"v=TLSRPTv1; rua=mailto:a@x.example; rua=mailto:b@x.example"], []),
        (["v=TLSRPTv1; rua=mailto:ä@x.example".encode()], []),
        ([], []),
    ],
)
def test_records_are_read_as_the_rfc_has_them(texts: list[bytes], uris: list[str]) -> None:
    assert list(parse_record(texts)) == uris


@given(
    texts=st.lists(
        st.binary(max_size=60) | st.binary(max_size=60).map(lambda end: b"v=TLSRPTv1; rua=" + end)
    )
)
def test_no_record_is_too_odd_to_be_read(texts: list[bytes]) -> None:
    assert all(uri and uri.isascii() for uri in parse_record(texts))


def test_a_record_is_read_however_long_its_gaps_are() -> None:
    # In time that grows with the square of its length, it would stop a worker for a minute.
    gap = " " * 65_000
    for text in (f"rua=a{gap}b", f"rua={gap}a{gap}b{gap}", f"{gap}rua{gap}={gap}a{gap}b"):
        assert parse_record([f"v=TLSRPTv1; {text}".encode()]) == (f"a{gap}b",)
        assert parse_record([f"v=TLSRPTv1; {text}\n{gap}".encode()]) == ()
