"""Encoded words (RFC 2047): how text that is not plain ASCII travels in a header field.

Used by `fields` for unstructured values and display names, and by `parameters` for the `name` that
older readers know. `decode_words` reads them for lists that people look at.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, a2b_qp, b2a_base64
from collections.abc import Iterator, Sequence

MAX_WORD = 75
"""Characters of one encoded word (RFC 2047 §2)."""
_OVERHEAD = len("=?utf-8?q??=")
# What the Q encoding leaves alone even in a phrase (RFC 2047 §5 (3)): one table for every place.
_LITERAL = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_QUOTED = {
    chr(octet): "_" if octet == 0x20 else chr(octet) if octet in _LITERAL else f"={octet:02X}"
    for octet in range(0x80)
}

_ENCODED = re.compile(
    r"=\?([A-Za-z0-9_.:-]{1,40})(?:\*[A-Za-z0-9-]{0,40})?\?([BbQq])\?([!->@-~]{0,998})\?="
)


def encode_words(text: str, first_room: int = MAX_WORD) -> list[str]:
    """Return encoded words that decode to `text` exactly.

    The first has at most `first_room` characters, for which 24 is the least that makes sense.
    A character is never split (RFC 2047 §5). Q is taken where most of it stays readable, else B.
    """
    quoted = [_QUOTED.get(character) or _escape(character) for character in text]
    sizes = list(map(len, quoted))
    if sum(sizes) <= 2 * len(text.encode()):
        payloads = _pack(quoted, sizes, first_room - _OVERHEAD, MAX_WORD - _OVERHEAD)
        return [f"=?utf-8?q?{payload}?=" for payload in payloads]
    sizes = [len(character.encode()) for character in text]
    payloads = _pack(text, sizes, _octets(first_room), _octets(MAX_WORD))
    return [f"=?utf-8?b?{_base64(payload)}?=" for payload in payloads]


def _pack(units: Sequence[str], sizes: Sequence[int], first_room: int, room: int) -> Iterator[str]:
    """Join units greedily, so that the sizes in a payload add up to no more than its room."""
    start, left = 0, first_room
    for place, size in enumerate(sizes):
        if size > left and place > start:
            yield "".join(units[start:place])
            start, left = place, room
        left -= size
    yield "".join(units[start:])


def _escape(character: str) -> str:
    return "".join([f"={octet:02X}" for octet in character.encode()])


def _octets(room: int) -> int:
    return (room - _OVERHEAD) // 4 * 3


def _base64(payload: str) -> str:
    return b2a_base64(payload.encode(), newline=False).decode("ascii")


def decode_words(text: str) -> str:
    """Return `text` as people read it (RFC 2047 §6); a word that cannot be decoded stays as it is.

    What comes out may hold any character, controls too.
    """
    pieces: list[str] = []
    end, was_decoded = 0, False
    for found in _ENCODED.finditer(text):
        between, word = text[end : found.start()], _decode(found)
        # RFC 2047 §6.2: white space between encoded words is not shown.
        if not (was_decoded and word is not None and not between.strip(" \t")):
            pieces.append(between)
        pieces.append(found.group() if word is None else word)
        end, was_decoded = found.end(), word is not None
    return "".join([*pieces, text[end:]])


def _decode(found: re.Match[str]) -> str | None:
    charset, encoding, payload = found.groups()
    try:
        octets = a2b_base64(payload) if encoding in "Bb" else a2b_qp(payload, header=True)
        return octets.decode(charset, "replace")
    except (LookupError, ValueError):
        return None
