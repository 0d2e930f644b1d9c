"""Lines of a finished mail: each ends with one CRLF, and none is too long (RFC 5322 §2.1.1, RFC 5321 §2.3.8).

A mail may have tens of megabytes. It is gone through in pieces, since a thread holds up all others for as
long as one call into the interpreter's own code takes.
"""

from __future__ import annotations

from collections.abc import Iterator

MAX_LINE = 998
"""Octets of a line without its CRLF (RFC 5322 §2.1.1)."""
_PIECE = 128 * 1024
_CRLF = b"\r\n"


def canonical(octets: bytes) -> bytes:
    r"""Return `octets` with CRLF for each CRLF, lone CR and lone LF; nothing else changes.

    What ended as `\r\r\n` was two line ends all along.
    """
    return b"".join(map(_canonical, _pieces(octets)))


def long_line(message: bytes) -> int | None:
    """Return the number, from 1, of the first line with more than 998 octets; None if there is none."""
    start = 0
    while len(message) - start > MAX_LINE:
        # The last line end of the window: all lines before it are within the limit.
        end = message.rfind(_CRLF, start, start + MAX_LINE + len(_CRLF))
        if end < 0:
            return message.count(_CRLF, 0, start) + 1
        start = end + len(_CRLF)
    return None


def _canonical(piece: bytes) -> bytes:
    if piece.count(b"\r") == piece.count(b"\n") == piece.count(_CRLF):
        return piece
    return piece.replace(_CRLF, b"\n").replace(b"\r", b"\n").replace(b"\n", _CRLF)


def _pieces(octets: bytes) -> Iterator[bytes]:
    """Cut anywhere but between CR and LF."""
    start = 0
    while start < len(octets):
        end = start + _PIECE
        end += octets[end - 1 : end + 1] == _CRLF
        yield octets[start:end]
        start = end
