"""Enhanced codes that we give ourselves, where no receiver said anything: all of them are registered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[3]
_CODE = re.compile(r"""["'](?:[45])(\.[0-9]{1,3}\.[0-9]{1,3})[ "']""")
_DETAIL = re.compile(r"""["'](\.[0-9]{1,3}\.[0-9]{1,3})["']""")

# The registry of IANA, "SMTP Enhanced Status Codes", without its class (RFC 5248).
_REGISTERED = {
    0: {0},
    1: set(range(11)),
    2: set(range(5)),
    3: set(range(7)),
    4: set(range(8)),
    5: set(range(7)),
    6: set(range(11)),
    7: set(range(31)),
}


def _own_codes() -> Iterator[tuple[str, int, int]]:
    for path in sorted((_ROOT / "worker").rglob("*.py")):
        if path.name in {"rules.py", "pauses.py"}:  # what receivers say
            continue
        text = path.read_text(encoding="utf-8")
        for found in (*_CODE.findall(text), *_DETAIL.findall(text)):
            _, subject, detail = found.split(".")
            yield path.name, int(subject), int(detail)


def test_codes_of_our_own_are_registered() -> None:
    codes = set(_own_codes())
    assert ("mx.py", 1, 10) in codes
    assert [code for code in codes if code[2] not in _REGISTERED.get(code[1], set())] == []
