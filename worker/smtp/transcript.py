"""The record of an attempt: each line that went over the wire, within bounds, and how each handshake went."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from app.events import Line
from worker.outcomes.handshake import Handshake

_MOST_LINES = 200
_MOST_BYTES = 1000
# Every attempt is kept with its message, and a hostile host may see to very many of them.
_MOST_BYTES_OF_ALL = 16 * 1024
_SENT, _HEARD = ">", "<"


class Transcript:
    """Lines of one attempt. After the two-hundredth, or 16 KB, nothing more is noted.

    `handshakes` tells how TLS went with each host that was asked for a session.
    """

    __slots__ = ("_lines", "_room_bytes", "handshakes")

    def __init__(self) -> None:
        self.handshakes: list[Handshake] = []
        self._lines: list[Line] = []
        self._room_bytes = _MOST_BYTES_OF_ALL

    def sent(self, commands: Sequence[str]) -> None:
        """Note what we wrote."""
        self._note(_SENT, commands)

    def heard(self, lines: Sequence[bytes]) -> None:
        """Note what came, made fit for people and JSON."""
        self._note(_HEARD, [readable(line) for line in lines[:_MOST_LINES]])

    def lines(self) -> tuple[Line, ...]:
        """Return all that was noted."""
        return tuple(self._lines)

    def _note(self, direction: str, texts: Sequence[str]) -> None:
        now = datetime.now(UTC)
        for text in texts[: _MOST_LINES - len(self._lines)]:
            self._room_bytes -= len(text.encode())
            if self._room_bytes < 0:
                return
            self._lines.append(Line(now, direction, text))


def readable(line: bytes) -> str:
    """Return a line of the other side as valid UTF-8 of at most 1 KB, with control characters escaped."""
    text = line[:_MOST_BYTES].rstrip(b"\r").decode("utf-8", "replace")
    if text.isascii() and text.isprintable():
        return text
    escaped = "".join(_escape(character) for character in text)
    return escaped.encode()[:_MOST_BYTES].decode("utf-8", "ignore")


def _escape(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
