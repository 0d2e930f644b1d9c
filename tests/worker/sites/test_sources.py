"""Which source a mail tries first: the same at each try, evenly spread, and hardly moved by changes of a pool."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from app.messages import Stream
from worker.routing.hosts import Host
from worker.sites.sources import Pool, Source, by_stream

V4, V6 = Host("mx.example.org", "192.0.2.1", 10), Host("mx.example.org", "2001:db8::1", 10)

names = st.lists(st.from_regex(r"\A[a-z][a-z0-9.-]{0,9}\Z"), min_size=1, max_size=12, unique=True)
addresses = st.text(min_size=1, max_size=30)


def pool(*names: str) -> Pool:
    sources = (Source(name, f"{name}.example.com", ipv4="127.0.0.2") for name in names)
    return Pool("pool", frozenset(Stream), tuple(sources))


def order(of: Pool, sender: str, recipient: str, kept: str | None = None) -> list[str]:
    return [source.name for source in of.candidates(sender, recipient, (V4,), kept)]


@given(names, addresses, addresses, st.randoms())
def test_the_order_is_the_same_for_the_same_two_whatever_the_order_of_the_file(
    named: list[str], sender: str, recipient: str, chance: Random
) -> None:
    shuffled = list(named)
    chance.shuffle(shuffled)
    assert order(pool(*named), sender, recipient) == order(pool(*shuffled), sender, recipient)


@given(names, addresses, addresses)
def test_every_source_has_its_turn_once(named: list[str], sender: str, recipient: str) -> None:
    assert sorted(order(pool(*named), sender, recipient)) == sorted(named)


@given(names, addresses, addresses, st.data())
def test_a_source_that_leaves_changes_nothing_in_the_order_of_the_others(
    named: list[str], sender: str, recipient: str, data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(named))
    before = order(pool(*named), sender, recipient)
    after = order(pool(*(name for name in named if name != gone)), sender, recipient)
    assert after == [name for name in before if name != gone]


@given(names, addresses, addresses, st.data())
def test_the_source_of_the_last_try_comes_first_and_the_others_stay_in_their_order(
    named: list[str], sender: str, recipient: str, data: st.DataObject
) -> None:
    kept = data.draw(st.sampled_from(named))
    others = [name for name in order(pool(*named), sender, recipient) if name != kept]
    assert order(pool(*named), sender, recipient, kept) == [kept, *others]


def test_a_source_that_is_no_more_is_not_kept() -> None:
    both = pool("a", "b")
    assert order(both, "s", "r", "gone") == order(both, "s", "r")


@given(st.integers(min_value=2, max_value=8), st.integers(min_value=0, max_value=10**6))
def test_recipients_spread_evenly(sources: int, seed: int) -> None:
    of = pool(*(f"out{n}" for n in range(sources)))
    each = 200
    firsts = Counter(
        order(of, "news@example.com", f"user{seed + n}@example.org")[0]
        for n in range(each * sources)
    )
    # Eight standard deviations of a fair draw: no run meets them by chance.
    assert all(abs(firsts[f"out{n}"] - each) < 8 * each**0.5 for n in range(sources))


def test_only_hosts_of_a_family_that_the_source_has_are_left() -> None:
    v4, v6 = Source("a", "a.example", ipv4="127.0.0.2"), Source("b", "b.example", ipv6="::1")
    both = Source("c", "c.example", ipv4="127.0.0.3", ipv6="::2")
    assert v4.reachable((V6, V4)) == (V4,)
    assert v6.reachable((V6, V4)) == (V6,)
    assert both.reachable((V6, V4)) == (V6, V4)
    assert (both.address_to(V4), both.address_to(V6)) == ("127.0.0.3", "::2")


def test_a_source_that_can_speak_to_no_host_is_no_candidate() -> None:
    v6 = Source("b", "b.example", ipv6="::1")
    lone = Pool("pool", frozenset(Stream), (v6,))
    assert lone.candidates("s", "r", (V4,)) == ()
    assert lone.candidates("s", "r", (V4, V6)) == (v6,)


def test_each_stream_finds_its_pool() -> None:
    one = Pool("one", frozenset({Stream.BULK}), ())
    two = Pool("two", frozenset({Stream.TRANSACTIONAL}), ())
    assert by_stream((one, two)) == {Stream.BULK: one, Stream.TRANSACTIONAL: two}
