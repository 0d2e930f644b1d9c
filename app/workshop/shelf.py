"""The shelf: what became of the last texts, since the same letter often goes to many people."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from app.workshop.orders import Craft, Piece

_OVERHEAD = 500
"""Bytes that a piece takes beside its text, about."""


class Shelf:
    """Keeps pieces up to a number of bytes; those not asked for the longest make room."""

    def __init__(self, most_bytes: int) -> None:
        """Begin empty."""
        self._free = most_bytes
        self._kept: OrderedDict[bytes, Piece] = OrderedDict()

    def find(self, key: bytes) -> Piece | None:
        """Return what became of the text, or None if that is not known any more."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, key: bytes, piece: Piece) -> None:
        """Keep a piece, unless it is there."""
        if key not in self._kept:
            self._kept[key] = piece
            self._free -= _size(piece)
        while self._free < 0:
            self._free += _size(self._kept.popitem(last=False)[1])


def key_of(craft: Craft, text: bytes, project: str) -> bytes:
    """Return the name of a text: of its project only, so that none learns from the time what another sends."""
    name = hashlib.blake2b(f"{craft}\0{project}\0".encode(), digest_size=32)
    name.update(text)
    return name.digest()


def _size(piece: Piece) -> int:
    # Python needs up to four bytes for each character.
    return _OVERHEAD + 4 * sum(map(len, (piece.text, *piece.warnings)))
