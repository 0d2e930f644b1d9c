"""How long one drain may go on before its lane goes to the end of the line: lanes take turns."""

from __future__ import annotations

import time

from worker.resources import Resources


class Allowance:
    """What one drain may still do: some time, some mails or parcels, and nothing once the process stops."""

    def __init__(self, resources: Resources) -> None:
        """Start counting."""
        delivery = resources.settings.delivery
        self._stopping = resources.stopping
        self._until = time.monotonic() + delivery.drain_time.total_seconds()
        self._left = delivery.drain_mails

    def permits(self, done: int) -> bool:
        """Count what was done, and tell whether the drain may claim again."""
        self._left -= done
        return self._left > 0 and time.monotonic() < self._until and not self._stopping.is_set()
