"""The table of what receivers say: `replies.txt`, read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from app.events import Category
from app.mail.reply import Reply, parse_reply
from worker.outcomes.classify import Phase
from worker.outcomes.outcome import Verdict

_TABLE = Path(__file__).with_name("replies.txt")


@dataclass(frozen=True, slots=True)
class Said:
    """A reply in its phase, and what it should come to."""

    text: str
    phase: Phase
    category: Category | None
    verdict: Verdict
    pause: timedelta | None

    @property
    def reply(self) -> Reply:
        """The reply as it comes from the wire."""
        return parse_reply([self.text.encode()])


def _read() -> Iterator[Said]:
    for line in _TABLE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            phase, category, verdict, minutes, text = line.split(maxsplit=4)
            yield Said(
                text,
                Phase(phase),
                None if category == "-" else Category(category),
                Verdict(verdict),
                None if minutes == "-" else timedelta(minutes=int(minutes)),
            )


TABLE = tuple(_read())
