"""SMTP replies (RFC 5321 §4.2, RFC 2034): what the receiver said, read strictly, safe to keep.

`worker.smtp` hands over the lines of one reply; what comes out is judged by `worker.outcomes` and
stored in events, so its text must not be able to act in a log, a page or JSON.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.mail.refusal import Refusal

MAX_TEXT = 1024
"""Octets of UTF-8 of a reply text that are kept."""

_LINE = re.compile(rb"([2-5][0-5][0-9])(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245])\.(?:0|[1-9][0-9]{0,2})\.(?:0|[1-9][0-9]{0,2})(?![0-9.])")
# C0, DEL, C1, line and paragraph separators, and what turns the direction of the text around it.
_ACTIVE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class ReplySyntaxError(Refusal):
    """The lines are no SMTP reply: the session cannot be trusted any more; `reason` says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: code, enhanced code if there is one that agrees, text without them in one line."""

    code: int
    enhanced: str | None
    text: str


def parse_reply(lines: Sequence[bytes]) -> Reply:
    """Parse all lines of one reply, given with or without their CRLF.

    Raises ReplySyntaxError unless all lines have the same code, and the last alone ends the reply.
    """
    if not lines:
        raise ReplySyntaxError("A reply has at least one line.")
    codes: set[bytes] = set()
    texts: list[str] = []
    for number, line in enumerate(lines, start=1):
        parsed = _LINE.fullmatch(line.removesuffix(b"\r\n"))
        if parsed is None:
            raise ReplySyntaxError(f"Line {number} of the reply does not start with a reply code.")
        if (parsed.group(2) == b"-") != (number < len(lines)):
            raise ReplySyntaxError(
                f"Line {number} of {len(lines)} of the reply has the wrong separator."
            )
        codes.add(parsed.group(1))
        texts.append((parsed.group(3) or b"").decode(errors="replace"))
    if len(codes) > 1:
        raise ReplySyntaxError("The lines of the reply have different codes.")
    code = int(codes.pop())
    enhanced = _enhanced(code, texts[0])
    return Reply(code, enhanced, _one_line(texts, enhanced))


def _enhanced(code: int, text: str) -> str | None:
    """Return the enhanced code, unless its class contradicts the code, which wins (RFC 2034 §4)."""
    found = _ENHANCED.match(text)
    return found.group() if found and found.group(1) == str(code)[0] else None


def _one_line(texts: Sequence[str], enhanced: str | None) -> str:
    """Join the lines without the enhanced code that each of them repeats, escape and truncate."""
    bare = [text.removeprefix(enhanced or "").strip(" ") for text in texts]
    joined = _ACTIVE.sub(lambda found: ascii(found.group())[1:-1], " ".join(filter(None, bare)))
    return joined.encode()[:MAX_TEXT].decode(errors="ignore")
