"""Python's garbage collector, told what a serving process is like.

What a process loads at its start lives as long as it does: some hundred thousand objects, which a full
collection looks at one by one while nobody is served (50 ms in the API).
"""

from __future__ import annotations

import gc

_NEW_OBJECTS = 10_000
"""How many objects more than before start a collection: those of many requests rather than of one."""


def expect_to_serve() -> None:
    """Leave what is there now out of all collections, and collect seldom; call it when all is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
