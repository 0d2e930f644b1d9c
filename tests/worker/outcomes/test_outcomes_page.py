"""The page about categories: it knows each of them, in the order of the code, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.events import Category
from app.mail.reply import parse_reply
from worker.outcomes.classify import Phase, classify

_PAGE = Path(__file__).parents[3] / "docs" / "outcomes.md"


def page() -> str:
    return _PAGE.read_text(encoding="utf-8")


def test_the_table_has_a_row_for_each_category_in_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", page(), re.MULTILINE)
    assert [name for name, _, _ in rows] == [category.value for category in Category]


@pytest.mark.parametrize(
    ("reply", "category"),
    [
        ("550 5.0.0 User unknown", Category.RECIPIENT),
        ("550 5.1.1 Rejected, unsolicited mail", Category.REPUTATION),
        ("550 Rejected", Category.POLICY),
    ],
)
def test_the_examples_are_true(reply: str, category: Category) -> None:
    assert reply in page()
    assert classify(parse_reply([reply.encode()]), Phase.RCPT).category is category
