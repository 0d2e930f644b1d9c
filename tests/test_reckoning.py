"""The ledger of `make chaos` notices each kind of fault: one that cannot fail proves nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from app.wire import Json
from bench.reckoning import Books, Place

ANN: Place = ("msg_1", "ann@example.org")
BOB: Place = ("msg_1", "bob@example.org")


def told(
    sequence: int, kind: str, place: Place = ANN, *, in_doubt: bool = False
) -> dict[str, Json]:
    data: dict[str, Json] = {
        "sequence": sequence,
        "recipient_id": place[1],
        "address": place[1],
        **({} if kind == "queued" else {"delivery": {"in_doubt": in_doubt}}),
    }
    return {"type": f"message.{kind}", "data": data}


GOOD = Books(
    accepted={"msg_1": ["ann@example.org"]},
    histories={"msg_1": [told(1, "queued"), told(2, "delivered")]},
    copies=Counter({ANN: 1}),
    taken=Counter({ANN: 1}),
)
IN_DOUBT = {"msg_1": [told(1, "queued"), told(2, "deferred", in_doubt=True), told(3, "delivered")]}

UNKNOWN = {"msg_1": [told(1, "queued"), told(2, "unknown", in_doubt=True)]}


def faults(books: Books) -> set[str]:
    return {name for name, at in books.faults().items() if at}


def test_books_that_agree_have_no_faults() -> None:
    assert faults(GOOD) == set()


def test_a_second_copy_that_the_history_speaks_of_is_none() -> None:
    books = replace(GOOD, copies=Counter({ANN: 2}), histories=IN_DOUBT)
    assert (faults(books), books.second_copies()) == (set(), 1)


def test_who_must_not_come_twice_may_end_in_doubt() -> None:
    books = replace(GOOD, taken=Counter(), histories=UNKNOWN, held=frozenset({"msg_1"}))
    assert faults(books) == set()


@pytest.mark.parametrize(
    ("books", "fault"),
    [
        (replace(GOOD, copies=Counter(), taken=Counter()), "lost"),
        (replace(GOOD, taken=Counter()), "lost"),
        (replace(GOOD, histories={"msg_1": [told(1, "queued")]}), "unfinished"),
        (replace(GOOD, histories={"msg_1": []}), "unfinished"),
        (
            replace(GOOD, histories={"msg_1": [told(1, "queued"), told(2, "bounced")]}),
            "not_delivered",
        ),
        (replace(GOOD, copies=Counter({ANN: 2})), "doubled_untold"),
        (
            replace(GOOD, copies=Counter({ANN: 2}), histories=IN_DOUBT, held=frozenset({"msg_1"})),
            "doubled_held",
        ),
        (replace(GOOD, histories=UNKNOWN), "not_delivered"),
        (replace(GOOD, copies=Counter({ANN: 1, BOB: 1})), "strangers"),
        (
            replace(GOOD, histories={"msg_1": [told(1, "queued"), told(3, "delivered")]}),
            "broken_histories",
        ),
        (
            replace(GOOD, histories={"msg_1": [told(1, "queued"), *2 * [told(2, "delivered")]]}),
            "broken_histories",
        ),
    ],
)
def test_each_kind_of_fault_is_found(books: Books, fault: str) -> None:
    assert faults(books) == {fault}


def test_a_recipient_that_ends_twice_is_found() -> None:
    history = [told(1, "queued"), told(2, "bounced"), told(3, "delivered")]
    assert faults(replace(GOOD, histories={"msg_1": history})) == {"broken_histories"}
