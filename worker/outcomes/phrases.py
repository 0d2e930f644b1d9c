"""How the words of a reply are looked for: phrases as people write them, matched in linear time.

A reply is laid out first, in lower case and with one space between words, so that a phrase fits whatever
punctuation the receiver uses. Hostile text costs no more than friendly text: a gap takes a bounded number
of words, and words and spaces cannot be taken for one another.
"""

from __future__ import annotations

import re

_AROUND_ADDRESSES = re.compile(r"[\s<>()\[\],;\"]+")
# Dots inside a word stay: host names must not fall apart into words that mean something.
_BETWEEN_WORDS = re.compile(r"[^\w.]+|\.+(?!\w)|(?<!\w)\.+|_+")
_GAP = r"(?: [^ ]+){0,6}?"


def laid_out(text: str) -> str:
    """Return the words of a text in lower case, each after one space, and a space at the end.

    Mail addresses are left out: what people call themselves says nothing. So are apostrophes.
    """
    plain = text.lower().replace("'", "").replace("\N{RIGHT SINGLE QUOTATION MARK}", "")
    if "@" in plain:
        plain = " ".join(word for word in _AROUND_ADDRESSES.split(plain) if "@" not in word)
    return _BETWEEN_WORDS.sub(" ", f" {plain} ")


def any_of(*phrases: str) -> re.Pattern[str]:
    """Match any of the phrases in a text that is laid out.

    Words match whole. A `*` at the start or the end of a word stands for the rest of that word, and
    a `*` alone for up to six words.
    """
    return re.compile(" (?:" + "|".join(_pattern(phrase) for phrase in phrases) + ")(?= )")


def _pattern(phrase: str) -> str:
    words = [
        _GAP if word == "*" else " " + re.escape(word).replace(r"\*", "[^ ]*")
        for word in phrase.split(" ")
    ]
    return "".join(words).removeprefix(" ")
