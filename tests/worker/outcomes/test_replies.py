"""What the large receivers say: each reply comes to the kind of trouble, verdict and rest it should."""

from __future__ import annotations

import pytest

from app.events import Category
from tests.worker.outcomes.replies import TABLE, Said
from worker.outcomes.classify import Judgement, Phase, classify
from worker.outcomes.pauses import pause_after


@pytest.mark.parametrize("said", TABLE, ids=lambda said: f"{said.phase}-{said.text[:60]}")
def test_a_reply_of_the_field_is_understood(said: Said) -> None:
    judged = classify(said.reply, said.phase)
    assert judged == Judgement(said.verdict, said.category)
    assert pause_after(said.reply) == said.pause


def test_the_table_speaks_of_every_kind_that_a_reply_can_tell() -> None:
    told = {said.category for said in TABLE}
    assert told == {*Category, None} - {Category.LOCAL}
    assert {said.phase for said in TABLE} == set(Phase)


def test_no_row_of_the_table_is_there_twice() -> None:
    assert len({(said.phase, said.text) for said in TABLE}) == len(TABLE)
