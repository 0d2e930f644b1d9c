"""The error of everything that reads text from outside: it says why, in a sentence for whoever wrote it."""

from __future__ import annotations


class Refusal(ValueError):
    """The text cannot be used; `reason` says why, and what to do instead where that can be said."""

    def __init__(self, reason: str) -> None:
        """Keep one sentence."""
        super().__init__(reason)
        self.reason = reason
