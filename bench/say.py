"""Progress and tables for people, on standard error; results for programs go to standard output."""

from __future__ import annotations

import sys
from collections.abc import Mapping


def say(text: str) -> None:
    """Show a line."""
    sys.stderr.write(f"{text}\n")


def show(title: str, entries: Mapping[str, object]) -> None:
    """Show a table of names and values."""
    width = max(map(len, entries), default=0)
    say(f"\n{title}")
    for name, value in entries.items():
        say(f"  {name:<{width}}  {value}")
