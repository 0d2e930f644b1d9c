from __future__ import annotations

from worker.sites.lately import Lately


def test_what_was_lately_is_forgotten_after_a_while() -> None:
    now = [0.0]
    lately = Lately[str, bool](3600, lambda: now[0])
    lately.remember("192.0.2.1", True)
    now[0] = 3599
    assert lately.recall("192.0.2.1")
    now[0] = 3601
    assert lately.recall("192.0.2.1") is None


def test_the_memory_of_what_was_lately_is_bounded() -> None:
    lately = Lately[str, bool](3600)
    for number in range(10_001):
        lately.remember(str(number), True)
    assert lately.recall("0") is None
    assert lately.recall("10000")
