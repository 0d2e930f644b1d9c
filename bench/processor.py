"""What processes use of the machine: processor time and memory, as Linux tells it in /proc."""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and all its children, those that have ended too."""
    fields = {int(path.name): _stat(path) for path in Path("/proc").glob("[0-9]*")}
    children = defaultdict(list)
    for child, found in fields.items():
        if found:
            children[int(found[1])].append(child)
    return sum(sum(map(int, fields[each][11:15])) for each in _tree(pid, children)) / _TICKS


def _stat(process: Path) -> list[str]:
    """Return the fields behind the name: state, parent, …; none where the process has gone."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _tree(pid: int, children: Mapping[int, list[int]]) -> Iterator[int]:
    yield pid
    for child in children.get(pid, ()):
        yield from _tree(child, children)


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1000 if found else 0.0


class Meter:
    """Processor time of some processes since the meter was made, by their names; `load` is our own."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before = self._now()

    def spent(self) -> dict[str, float]:
        """Return seconds by name."""
        return {name: now - self._before[name] for name, now in self._now().items()}

    def _now(self) -> dict[str, float]:
        theirs = {name: cpu_seconds(pid) for name, pid in self._pids.items()}
        return {**theirs, "load": time.process_time()}
