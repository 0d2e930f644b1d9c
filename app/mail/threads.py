"""Threads: which messages a mail answers (RFC 5322 §3.6.4), from what callers write to its two header fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.mail.headers import check_message_id
from app.mail.refusal import Refusal

MAX_IDS_TEXT = 65_536
"""Characters of a list of message ids in one text."""
_MAX_REFERENCES = 998
"""Characters that References has with its name before ids are left out (RFC 5537 §3.4.4)."""
_WRITTEN = re.compile(r"\s*(?:<([^<>]*)>|([^<>\s]+))")


class ThreadError(Refusal):
    """No message ids; `reason` says why and what to do instead."""


@dataclass(frozen=True, slots=True)
class Thread:
    """The message that is answered, and those before it, the oldest first; ids are without <>.

    Raises HeaderError for what is no message id.
    """

    in_reply_to: str | None = None
    references: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for message_id in (*self.references, *([self.in_reply_to] if self.in_reply_to else [])):
            check_message_id(message_id)

    def fields(self) -> Iterator[tuple[str, str]]:
        """Yield the header fields: In-Reply-To, and References that ends with what is answered."""
        if self.in_reply_to:
            yield "In-Reply-To", f"<{self.in_reply_to}>"
        references = [f"<{message_id}>" for message_id in self.references]
        if self.in_reply_to and self.in_reply_to not in self.references:
            references.append(f"<{self.in_reply_to}>")
        if references:
            yield "References", " ".join(_shortened(references))


def parse_message_id(text: str) -> str:
    """Return one message id without <>. Raises ThreadError or HeaderError."""
    ids = parse_message_ids(text)
    if len(ids) != 1:
        raise ThreadError("must be one message id, such as <id@shop.example>")
    return ids[0]


def parse_message_ids(text: str) -> tuple[str, ...]:
    """Return message ids written one after the other, with <> or without. Raises ThreadError or HeaderError."""
    ids: list[str] = []
    end = 0
    while found := _WRITTEN.match(text, end):
        ids.append(found[1] if found[1] is not None else found[2])
        end = found.end()
    if text[end:].strip():
        raise ThreadError("must be message ids, such as <id@shop.example>, with space between them")
    for message_id in ids:
        check_message_id(message_id)
    return tuple(ids)


def _shortened(references: list[str]) -> list[str]:
    """Leave out the second and what follows it until the field is no longer than it should be.

    The first, which names the thread, and the last two always stay.
    """
    if len(references) <= 3:
        return references
    room = _MAX_REFERENCES - len("References: ") - len(references[0])
    for start in range(len(references) - 1, 0, -1):
        room -= len(references[start]) + 1
        if room < 0:
            return [references[0], *references[min(start + 1, len(references) - 2) :]]
    return references
