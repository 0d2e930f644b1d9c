"""Clocks that are wrong: libfaketime below a process, which then sees another time of day than it is.

Monotonic clocks go on as they are, as they do where somebody sets a machine's clock.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

_FOLDERS = ("/usr/lib", "/usr/local/lib", "/usr/lib64", "/opt/homebrew/lib")
_SETTINGS = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}


def wrong_by(offset: str) -> dict[str, str]:
    """Return the environment of a process whose clock is wrong by `offset` (`+1h`, `-90m`)."""
    return {"LD_PRELOAD": _library(), "FAKETIME": offset, **_SETTINGS}


class Clock:
    """A clock that many processes go by and that can be set while they run; it is right at first."""

    def __init__(self, file: Path) -> None:
        """Keep the offset in `file`."""
        self._file = file
        self.set("+0")

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that goes by this clock."""
        return {
            "LD_PRELOAD": _library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            **_SETTINGS,
        }

    def set(self, offset: str) -> None:
        """Let it be wrong by `offset` from now on, at once for all."""
        fresh = self._file.with_suffix(".fresh")
        fresh.write_text(f"{offset}\n")
        fresh.replace(self._file)


def _library() -> str:
    """Return the library; skips the test where it is not installed."""
    found = next(_candidates(), None)
    if found is None:
        pytest.skip("libfaketime is not installed (Debian: apt-get install faketime)")
    return os.fspath(found)


def _candidates() -> Iterator[Path]:
    for folder in _FOLDERS:
        yield from Path(folder).glob("**/faketime/libfaketime.so.1")
