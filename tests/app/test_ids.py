"""Identifiers: no two are the same, however many threads make them at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from app.ids import new_message_id


def test_identifiers_are_unique() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: [new_message_id() for _ in range(2_000)], range(8)))
    ids = [each for several in made for each in several]
    assert len(set(ids)) == len(ids) == 16_000
