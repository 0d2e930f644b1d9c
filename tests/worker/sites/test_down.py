from __future__ import annotations

from worker.routing.hosts import Host
from worker.sites.down import DownHosts

FIRST = Host("mx1.example.org", "192.0.2.1", 10)
SECOND = Host("mx2.example.org", "192.0.2.2", 20)
THIRD = Host("mx3.example.org", "192.0.2.3", 30)
ALL = (FIRST, SECOND, THIRD)


def test_without_trouble_the_order_stays() -> None:
    assert tuple(DownHosts(60).last(ALL)) == ALL


def test_a_host_that_is_down_is_tried_last() -> None:
    down = DownHosts(60)
    down.remember(FIRST)
    assert tuple(down.last(ALL)) == (SECOND, THIRD, FIRST)


def test_where_all_are_down_the_order_stays_and_all_are_tried() -> None:
    down = DownHosts(60)
    for host in ALL:
        down.remember(host)
    assert tuple(down.last(ALL)) == ALL


def test_a_host_that_answers_again_takes_its_place_again() -> None:
    down = DownHosts(60)
    down.remember(FIRST)
    down.forget(FIRST)
    assert tuple(down.last(ALL)) == ALL


def test_the_memory_fades() -> None:
    now = [0.0]
    down = DownHosts(60, clock=lambda: now[0])
    down.remember(FIRST)
    now[0] = 61.0
    assert tuple(down.last(ALL)) == ALL
