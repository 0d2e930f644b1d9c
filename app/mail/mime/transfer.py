"""Transfer encodings (RFC 2045 §6): any body as 7-bit lines that nothing on the way has to touch.

Used by `compose` for each leaf. All work per octet is done by the C code of the standard library.
"""

from __future__ import annotations

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

MAX_LINE = 78
"""Longest line of text that is sent as it is (RFC 5322 §2.1.1, the SHOULD)."""
_MAX_ENCODED = 76
# Octets that are encoded at a time, whole lines of base64: the C code holds up every other thread meanwhile.
_PIECE = 57 * 8192
_PLAIN = bytes([0x09, 0x0A, *range(0x20, 0x7F)])
_LITERAL = _PLAIN.replace(b"=", b"")
_MAX_OCTETS = 998
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_FROM_LINE = re.compile(rb"(?m)^From ")


@dataclass(frozen=True, slots=True)
class Body:
    """An encoded body, without a line end of its own, and the name of its encoding."""

    encoding: str
    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SharedBody(Body):
    """A body that several mails have, encoded once. Those of the same octets have the same `name`."""

    name: str


def encode_text(text: str) -> Body:
    """Encode text, every line end made CRLF: 7bit if possible, else the shorter encoding."""
    octets = _with_newlines(text).encode()
    if _is_plain(octets):
        return Body("7bit", octets.replace(b"\n", b"\r\n"))
    # Quoted-printable makes three octets of each of these, base64 four of any three.
    if len(octets.translate(None, _LITERAL)) * 6 > len(octets):
        return encode_octets(octets.replace(b"\n", b"\r\n"))
    return Body("quoted-printable", _quote(octets).replace(b"\n", b"\r\n"))


def canonical_octets(text: str) -> bytes:
    """Return text as UTF-8, every line end made CRLF."""
    return _with_newlines(text).replace("\n", "\r\n").encode()


def encode_octets(octets: bytes) -> Body:
    """Encode octets as base64 in lines of 76 characters."""
    pieces = [_base64(octets[start : start + _PIECE]) for start in range(0, len(octets), _PIECE)]
    return Body("base64", b"\r\n".join(pieces))


def _base64(octets: bytes) -> bytes:
    encoded = b2a_base64(octets, newline=False)
    lines = [
        encoded[start : start + _MAX_ENCODED] for start in range(0, len(encoded), _MAX_ENCODED)
    ]
    return b"\r\n".join(lines)


def encode_shared(octets: bytes) -> SharedBody:
    """Encode octets as `encode_octets` does, for several mails."""
    body = encode_octets(octets)
    return SharedBody(body.encoding, body.octets, sha256(octets).hexdigest())


def encode_message(octets: bytes) -> Body | None:
    """Encode a whole mail as the 7bit that a message/rfc822 has to be (RFC 2046 §5.2.1).

    Its line ends become CRLF, as they were when it was sent. None where it cannot go like this: it holds
    octets above 127, NUL, lines of more than 998 octets or mixed line ends, or does not start with a header.
    """
    if b"\r" not in octets:
        octets = octets.replace(b"\n", b"\r\n")
    lines = octets.split(b"\r\n")
    is_clean = octets.isascii() and b"\0" not in octets and max(map(len, lines)) <= _MAX_OCTETS
    has_strays = octets.count(b"\r") + octets.count(b"\n") > 2 * (len(lines) - 1)
    return Body("7bit", octets) if is_clean and not has_strays and _FIELD.match(octets) else None


def _with_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _is_plain(octets: bytes) -> bool:
    return (
        not octets.translate(None, _PLAIN)
        and max(map(len, octets.split(b"\n"))) <= MAX_LINE
        and not _has_from_line(octets)
    )


def _has_from_line(octets: bytes) -> bool:
    return octets.startswith(b"From ") or b"\nFrom " in octets


def _quote(octets: bytes) -> bytes:
    return b"".join(map(_quote_piece, _pieces(octets)))


def _pieces(octets: bytes) -> Iterator[bytes]:
    """Cut octets behind line ends, where quoted-printable of the pieces is that of the whole."""
    start, size = 0, len(octets)
    while size - start > _PIECE and (end := octets.find(b"\n", start + _PIECE) + 1):
        yield octets[start:end]
        start = end
    yield octets[start:]


def _shortened(line: bytes) -> bytes:
    """Break a line that is too long before its last escape: CPython does not count how white space grows there."""
    is_long = len(line) > _MAX_ENCODED and line[-3:-2] == b"="
    return b"%b=\n%b" % (line[:-3], line[-3:]) if is_long else line


def _quote_piece(octets: bytes) -> bytes:
    encoded = b2a_qp(octets)
    lines = encoded.split(b"\n")
    if max(map(len, lines)) > _MAX_ENCODED:
        encoded = b"\n".join(map(_shortened, lines))
    if _has_from_line(encoded):
        # Some stores put ">" before such a line, which would break the signature.
        encoded = _FROM_LINE.sub(b"=46=\nrom ", encoded)
    return encoded
