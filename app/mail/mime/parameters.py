"""Parameters of MIME fields (RFC 2045 §5.1): file names in every script, told in two ways.

`filename` follows RFC 2231 and is the one that has to be right; `name` of Content-Type repeats it
as encoded words inside the quoted string, which no RFC knows but much installed software reads.
"""

from __future__ import annotations

import re

from app.mail.mime.filenames import safe_filename
from app.mail.words import MAX_WORD, encode_words

_MAX_PLAIN = 60
_MAX_SECTION = 56
# Can be quoted without an escape: readers that stumble over escapes know RFC 2231.
_PLAIN = re.compile(r"(?! )[ !#-\[\]-~]+(?<! )")
_ATTRIBUTE = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`{|}~"
)
_PERCENT = tuple(chr(octet) if octet in _ATTRIBUTE else f"%{octet:02X}" for octet in range(256))


def filename_parameter(filename: str) -> str:
    """Return the `filename` parameters of Content-Disposition, each on a line of its own."""
    filename = safe_filename(filename)
    if _is_plain(filename):
        return f';\r\n filename="{filename}"'
    sections = _sections("".join([_PERCENT[octet] for octet in filename.encode()]))
    if len(sections) == 1:
        return f";\r\n filename*=utf-8''{sections[0]}"
    sections[0] = f"utf-8''{sections[0]}"
    return "".join([f";\r\n filename*{n}*={section}" for n, section in enumerate(sections)])


def name_parameter(filename: str) -> str:
    """Return the `name` parameter of Content-Type for the same file."""
    filename = safe_filename(filename)
    if _is_plain(filename):
        return f';\r\n name="{filename}"'
    first_room = MAX_WORD - len(' name="";')
    return ';\r\n name="{}"'.format("\r\n ".join(encode_words(filename, first_room)))


def _is_plain(filename: str) -> bool:
    is_short = len(filename) <= _MAX_PLAIN
    return is_short and "=?" not in filename and _PLAIN.fullmatch(filename) is not None


def _sections(encoded: str) -> list[str]:
    """Cut percent-encoded text for RFC 2231 §3 continuations, never inside an escape."""
    sections = []
    while len(encoded) > _MAX_SECTION:
        escape = encoded.find("%", _MAX_SECTION - 2, _MAX_SECTION)
        end = _MAX_SECTION if escape < 0 else escape
        sections.append(encoded[:end])
        encoded = encoded[end:]
    return [*sections, encoded]
