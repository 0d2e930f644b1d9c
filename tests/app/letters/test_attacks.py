"""Templates that attack: each is refused by name, and the process that rendered all of them lives on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from app.letters.templating import Part, Patterns
from app.letters.values import pack, unpack
from tests.app.letters.attacks import ATTACKS, VALUES


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    """What came of each attack, in a process of little memory that was not killed by any."""
    command = [sys.executable, "-m", "tests.app.letters.attacks"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    outcomes = dict(json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 0, (list(outcomes)[-1:], done.stderr[-2000:])
    return outcomes


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_comes_to_what_it_should(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == ATTACKS[name][1]


def test_nothing_that_was_tried_changed_the_values() -> None:
    values = unpack(pack(VALUES))
    patterns = Patterns()
    for source in ("{{ order.tag }}{{ rows[0] }}", "{{ order|items|first|first }}"):
        patterns.compiled(Part.TEXT, source).render(values)
    assert values == VALUES
    assert patterns.compiled(Part.TEXT, "{{ order.tag }}").render(values) == "<b>"
