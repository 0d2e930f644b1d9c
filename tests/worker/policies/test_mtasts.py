"""MTA-STS as it is written: records, policies, and the hosts they list."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postfix_mta_sts_resolver import utils  # type: ignore[import-untyped]  # it has no types

from app.spool.workers.policies import Mode, StsPolicy
from worker.policies.mtasts import PolicyError, Rules, lists, parse_policy, parse_record

GOOD = (
    b"version: STSv1\r\nmode: enforce\r\nmx: mx.x.example\r\nmx: *.x.example\r\nmax_age: 86400\r\n"
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("record", "id_"),
    [
        (b"v=STSv1; id=20260101T000000;", "20260101T000000"),
        (b"v=STSv1;id=1", "1"),
        (b"v=STSv1 \t; \tid=aB3 ;", "aB3"),
        (b"v=STSv1; id=1; more=x/y:z", "1"),
        (b"v=STSv1; more=x; id=1;", "1"),
    ],
)
def test_a_record_gives_its_id(record: bytes, id_: str) -> None:
    assert parse_record([record]) == id_
    assert parse_record([b"v=spf1 -all", record, b"other"]) == id_


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"v=STSv1",
        b"v=STSv1;",
        b"v=STSv2; id=1;",
        b"V=STSv1; id=1;",
        b" v=STSv1; id=1;",
        b"v=STSv1; id=;",
        b"v=STSv1; id=a-b;",
        b"v=STSv1; id=" + b"1" * 33 + b";",
        b"v=STSv1; id=1; id=2;",
        b"v=STSv1; id=1;; more=x;",
        b"v=STSv1; id=1; more;",
        b"v=STSv1; id=1; more=a b;",
        b"v=STSv1; ID=1;",
        "v=STSv1; id=1; more=ä;".encode(),
        b"id=1; v=STSv1;",
    ],
)
def test_a_record_that_breaks_the_grammar_is_none(record: bytes) -> None:
    assert parse_record([record]) is None


def test_of_two_records_neither_counts() -> None:
    assert parse_record([b"v=STSv1; id=1;", b"v=STSv1; id=1;"]) is None


def test_a_policy_says_what_it_says() -> None:
    hosts = ("mx.x.example", "*.x.example")
    assert parse_policy(GOOD) == Rules(Mode.ENFORCE, hosts, timedelta(days=1))
    assert parse_policy(GOOD.replace(b"\r\n", b"\n")) == parse_policy(GOOD)
    assert parse_policy(GOOD.rstrip()) == parse_policy(GOOD)
    assert parse_policy(GOOD + b"\r\n\r\n") == parse_policy(GOOD)


def test_names_in_a_policy_have_no_case() -> None:
    assert parse_policy(GOOD.replace(b"mx.x", b"MX.X")).hosts == ("mx.x.example", "*.x.example")


def test_what_a_policy_says_more_counts_as_not_said() -> None:
    more = b"x-more.1: anything, even \xc3\xa4\r\n" + GOOD + b"mode: none\r\nversion: STSv2\r\n"
    assert parse_policy(more) == parse_policy(GOOD)


def test_a_domain_may_say_that_it_has_no_policy_any_more() -> None:
    rules = parse_policy(b"version: STSv1\nmode: none\nmax_age: 60\n")
    assert rules == Rules(Mode.NONE, (), timedelta(minutes=1))


def test_no_policy_lives_for_longer_than_a_year() -> None:
    rules = parse_policy(GOOD.replace(b"86400", b"9999999999"))
    assert rules.max_age == timedelta(seconds=31_557_600)
    assert rules.fetched("1", NOW).expires_at == NOW + timedelta(seconds=31_557_600)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"STSv1", b"STSv2", "version"),
        (b"version: STSv1\r\n", b"", "no version"),
        (b"mode: enforce\r\n", b"", "no mode"),
        (b"enforce", b"Enforce", "unknown mode"),
        (b"enforce", b"strict", "unknown mode"),
        (b"max_age: 86400\r\n", b"", "no max_age"),
        (b"86400", b"-1", "no number"),
        (b"86400", b"1.5", "no number"),
        (b"86400", b"12345678901", "no number"),
        (b"mx: mx.x.example\r\nmx: *.x.example\r\n", b"", "no mx"),
        (b"*.x.example", b"*", "no host"),
        (b"*.x.example", b"*.*.example", "no host"),
        (b"*.x.example", b"mx.*.example", "no host"),
        (b"*.x.example", b"m*.x.example", "no host"),
        (b"*.x.example", b".x.example", "no host"),
        (b"*.x.example", b"x.example.", "no host"),
        (b"*.x.example", b"a b.example", "no host"),
        (b"*.x.example", "b\u00fccher.example".encode(), "no host"),
        (b"mode:", b"mode", "no `key: value`"),
        (b"mode: enforce", b"mode:", "no `key: value`"),
        (b"mode: enforce", b" mode: enforce", "no `key: value`"),
        (b"mode: enforce\r\n", b"mode: enforce\r\n\r\n", "no `key: value`"),
        (b"enforce", b"enf\xffrce", "UTF-8"),
    ],
)
def test_a_policy_that_breaks_the_grammar_is_none(old: bytes, new: bytes, reason: str) -> None:
    assert old in GOOD
    with pytest.raises(PolicyError, match=reason):
        parse_policy(GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("host", "is_listed"),
    [
        ("mx.x.example", True),
        ("MX.X.Example", True),
        ("mx.x.example.", True),
        ("a.wild.example", True),
        ("wild.example", False),
        ("a.b.wild.example", False),
        ("amx.x.example", False),
        ("x.example", False),
        ("example", False),
        ("", False),
    ],
)
def test_a_wildcard_stands_for_exactly_one_label(host: str, is_listed: bool) -> None:
    hosts = ("mx.x.example", "*.wild.example")
    assert lists(StsPolicy("1", Mode.ENFORCE, hosts, NOW, NOW), host) is is_listed


_LINES = st.lists(
    st.sampled_from(
        [
            "version: STSv1",
            "version:STSv1  ",
            "mode: enforce",
            "mode: testing",
            "mode: none",
            "mx: mx.x.example",
            "mx: *.x.example",
            "max_age: 86400",
            "max_age: 99999999999",
            "max_age: x",
            "more: thing",
            "mode",
            "",
        ]
    ),
    max_size=7,
)


def _is_said_once(lines: list[str]) -> bool:
    keys = [line.partition(":")[0] for line in lines if not line.startswith("mx:")]
    return len(keys) == len(set(keys))


# Of doubled fields the first counts (RFC 8461 §3.2); the other reader takes the last.
@given(lines=_LINES.filter(_is_said_once), end=st.sampled_from(["\n", "\r\n"]))
def test_what_we_take_an_independent_reader_takes_alike(lines: list[str], end: str) -> None:
    text = end.join(lines)
    try:
        ours = parse_policy(text.encode())
    except PolicyError:
        return
    theirs = utils.parse_mta_sts_policy(text)
    assert theirs["version"] == "STSv1"
    assert theirs["mode"] == ours.mode
    assert tuple(theirs["mx"]) == ours.hosts
    assert timedelta(seconds=int(theirs["max_age"])) == ours.max_age


@given(record=st.text("vid=STSv1; ab2\t", max_size=30).map(lambda text: "v=STSv1;" + text))
def test_a_record_that_we_take_an_independent_reader_takes_alike(record: str) -> None:
    ours = parse_record([record.encode()])
    if ours is not None:
        assert utils.parse_mta_sts_record(record)["id"] == ours


@given(body=st.binary(max_size=300))
def test_whatever_a_policy_host_sends_is_a_policy_or_an_error(body: bytes) -> None:
    with contextlib.suppress(PolicyError):
        assert parse_policy(body).mode in Mode
