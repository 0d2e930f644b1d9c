"""Cutting the bytes of a connection into replies, strictly and within bounds (RFC 5321 §4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from app.events import Category
from app.mail.reply import Reply, ReplySyntaxError, parse_reply
from worker.smtp.transcript import Transcript, readable
from worker.smtp.trouble import Trouble

_MOST_LINE_BYTES = 8 * 1024
_MOST_REPLY_BYTES = 32 * 1024
_MOST_COMMON_BYTES = 80


class ReplyReader:
    """What has come over one connection and is not a whole reply yet; notes each line in `transcript`."""

    __slots__ = ("_lines", "_rest", "_size_bytes", "transcript")

    def __init__(self, transcript: Transcript) -> None:
        self.transcript = transcript
        self._rest = b""
        self._lines: list[bytes] = []
        self._size_bytes = 0

    @property
    def is_between_replies(self) -> bool:
        """Tell whether nothing of a further reply has come."""
        return not self._rest and not self._lines

    def feed(self, data: bytes) -> Iterator[Reply]:
        """Yield the replies that `data` completes. Raises Trouble for what is no reply, or is too long."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.transcript.heard(lines)
        for line in lines:
            self._append(line.removesuffix(b"\r"))
            if line[3:4] != b"-":
                yield self._finish()
        if len(self._rest) > _MOST_LINE_BYTES:
            raise self._overrun()

    def _append(self, line: bytes) -> None:
        self._lines.append(line)
        self._size_bytes += len(line)
        if len(line) > _MOST_LINE_BYTES or self._size_bytes > _MOST_REPLY_BYTES:
            raise self._overrun()

    def _finish(self) -> Reply:
        lines, self._lines, self._size_bytes = self._lines, [], 0
        try:
            if len(lines) == 1 and len(lines[0]) <= _MOST_COMMON_BYTES:
                return _parse_common(lines[0])
            return parse_reply(lines)
        except ReplySyntaxError as error:
            text = f"what came is no SMTP reply: {readable(lines[-1][:80])}"
            raise Trouble(text, category=Category.PROTOCOL) from error

    def _overrun(self) -> Trouble:
        self._rest, self._lines = b"", []
        return Trouble("the reply is too long", category=Category.PROTOCOL)


@lru_cache(maxsize=1024)
def _parse_common(line: bytes) -> Reply:
    """Parse a short reply; nearly all are the same few."""
    return parse_reply((line,))
