"""Local parts beyond ASCII (RFC 6531 §3.3): which characters may stand before the @, and in what form.

Only the receiving system knows what a local part means, so nothing is folded, mapped or turned into
Punycode. What is refused cannot be seen, or is read in another way by others.
"""

from __future__ import annotations

import re
from unicodedata import category, normalize

import idna

_PUNCTUATION = re.compile(r"[ -/:-@\[-`{-~]")
# Characters without a glyph that Unicode counts among letters, marks and symbols.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
_JOINERS = "\u200c\u200d"
_WITHOUT_JOINERS = str.maketrans("", "", _JOINERS)


def is_invisible(text: str) -> bool:
    """Tell whether `text` holds what shows nothing, turns the direction, or is in no standard.

    Joiners are not meant: some scripts need them, and rules of their own say where.
    """
    return not text.translate(_WITHOUT_JOINERS).isprintable() or _BLANK.search(text) is not None


def normalized(local: str) -> str:
    """Return the local part in NFC (RFC 6532 §3.1).

    To refuse other forms would tell people to change what looks the same afterwards, and left as
    they are they would be other mailboxes to servers that compare octets. ASCII stays as it is.
    """
    return local if local.isascii() else normalize("NFC", local)


def flaw(given: str) -> str | None:
    """Say why a local part cannot be sent; None if it can. Nothing in it may be invisible."""
    # PRECIS forbids all that NFKC changes (RFC 8264 §9.17); here only what looks like a sign of ASCII.
    if _PUNCTUATION.findall(normalize("NFKC", given)) != _PUNCTUATION.findall(given):
        return "has a character before the @ that others read as punctuation: use the plain letters"
    local = normalized(given)
    if any(category(atom[0]).startswith("M") for atom in local.split(".")):
        return "has an accent without a letter before the @: write the letter in front of it"
    # RFC 5892 appendix A.1 and A.2.
    if not all(_joins(local, place) for place, each in enumerate(local) if each in _JOINERS):
        return "holds an invisible character: remove it"
    if not _has_one_direction(local):
        return "mixes directions of writing before the @, and so is shown as another: keep to one"
    return None


def _joins(local: str, place: int) -> bool:
    try:
        return idna.valid_contextj(local, place)
    except ValueError:
        return False  # beside a character of a script that needs no joiners


def _has_one_direction(local: str) -> bool:
    """Tell whether the Bidi rule (RFC 5893 §2) holds, which only asks of text from right to left."""
    try:
        return idna.check_bidi(local)
    except ValueError:
        return False
