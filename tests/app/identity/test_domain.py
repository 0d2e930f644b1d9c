"""When a domain is verified, when it fails, and when it is looked at again, by a clock of the test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.events import EventType
from app.identity.domain import Domain, DomainStatus, Patience, judged, wait_of
from app.identity.events import turn_of
from app.identity.findings import Finding, FindingState
from app.identity.records import Purpose, Record, RecordType
from tests.fakes.letters import PROJECT

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PATIENCE = Patience(wrong=2 * DAY, unreachable=7 * DAY)
PENDING = Domain(PROJECT, "shop.example", "bounces.shop.example", NOW, NOW)


def found(
    state: FindingState, purpose: Purpose = Purpose.DKIM, *, is_required: bool = True
) -> Finding:
    record = Record(purpose, "x.shop.example", RecordType.TXT, "wanted", is_required)
    return Finding(record, state, (), "why", "wanted")


OK = found(FindingState.OK)
MISSING = found(FindingState.MISSING)
UNREACHABLE = found(FindingState.UNREACHABLE)
VERIFIED = judged(PENDING, (OK,), NOW, PATIENCE)


def after(domain: Domain, *checks: tuple[timedelta, Finding]) -> Domain:
    for at, finding in checks:
        domain = judged(domain, (finding,), NOW + at, PATIENCE)
    return domain


def test_a_domain_is_verified_once_all_that_is_required_is_right() -> None:
    advice = found(FindingState.MISSING, Purpose.DMARC, is_required=False)
    domain = judged(PENDING, (OK, OK, advice), NOW + HOUR, PATIENCE)
    assert (domain.status, domain.since) == (DomainStatus.VERIFIED, NOW + HOUR)
    told = turn_of(PENDING, domain)
    assert told is not None
    assert (told.type, told.domain.events) == (EventType.DOMAIN_VERIFIED, 1)


@pytest.mark.parametrize("state", [state for state in FindingState if state is not FindingState.OK])
def test_one_required_record_that_is_not_right_keeps_it_pending(state: FindingState) -> None:
    domain = judged(PENDING, (OK, found(state)), NOW + 30 * DAY, PATIENCE)
    assert domain.status is DomainStatus.PENDING
    assert turn_of(PENDING, domain) is None


def test_without_a_key_of_the_project_nothing_is_proven() -> None:
    return_path = found(FindingState.OK, Purpose.RETURN_PATH)
    optional = found(FindingState.OK, is_required=False)
    for findings in ((), (return_path,), (return_path, optional)):
        assert judged(PENDING, findings, NOW, PATIENCE).status is DomainStatus.PENDING


def test_a_verified_domain_fails_only_after_several_checks_over_some_time() -> None:
    soon = after(VERIFIED, *[(n * HOUR, MISSING) for n in range(40)])
    assert soon.status is DomainStatus.VERIFIED
    twice = after(VERIFIED, (HOUR, MISSING), (3 * DAY, MISSING))
    assert twice.status is DomainStatus.VERIFIED
    failing = after(twice, (3 * DAY + HOUR, MISSING))
    assert (failing.status, failing.since) == (DomainStatus.FAILING, NOW + 3 * DAY + HOUR)
    told = turn_of(twice, failing)
    assert told is not None
    assert (told.type, told.domain.events) == (EventType.DOMAIN_FAILING, 2)


def test_one_check_that_is_right_makes_it_begin_anew() -> None:
    domain = after(VERIFIED, (HOUR, MISSING), (DAY, MISSING), (DAY + HOUR, OK))
    assert after(domain, *[(2 * DAY + n * HOUR, MISSING) for n in range(40)]).status is (
        DomainStatus.VERIFIED
    )


def test_name_servers_that_do_not_answer_are_borne_for_longer() -> None:
    domain = after(VERIFIED, *[(n * HOUR, UNREACHABLE) for n in range(1, 160)])
    assert domain.status is DomainStatus.VERIFIED
    assert after(domain, (8 * DAY, UNREACHABLE)).status is DomainStatus.FAILING
    assert after(domain, (7 * DAY, OK), (8 * DAY, UNREACHABLE)).status is DomainStatus.VERIFIED


def test_a_failing_domain_is_verified_again_by_one_check() -> None:
    failing = after(VERIFIED, *[(n * DAY, MISSING) for n in range(1, 5)])
    assert failing.status is DomainStatus.FAILING
    healed = after(failing, (5 * DAY, OK))
    assert (healed.status, healed.events) == (DomainStatus.VERIFIED, 3)


@given(st.floats(0, 1))
def test_checks_are_daily_and_spread_and_hourly_where_something_is_wrong(roll: float) -> None:
    assert DAY - 2 * HOUR <= wait_of(VERIFIED, NOW, roll) <= DAY + 2 * HOUR
    troubled = after(VERIFIED, (HOUR, MISSING))
    assert timedelta(minutes=54) <= wait_of(troubled, NOW, roll) <= timedelta(minutes=66)


def test_a_new_domain_is_looked_at_soon_and_an_old_one_daily() -> None:
    assert wait_of(PENDING, NOW, 0.5) == timedelta(minutes=5)
    assert wait_of(PENDING, NOW + 4 * HOUR, 0.5) == HOUR
    assert wait_of(PENDING, NOW + 60 * DAY, 0.5) == DAY
