"""File names: which a caller may give, and what a reader is told of them.

A reader saves a file under the name it is told, so that name must not lead into another folder, and
people decide by it whether they open a file, so it must read as it is.
"""

from __future__ import annotations

import re

from app.mail.characters import forbidden
from app.mail.refusal import Refusal

MAX_FILENAME = 255
"""Characters of a file name."""

# They turn the direction of the text around them: "invoice" + U+202E + "fdp.exe" reads as invoiceexe.pdf.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_SEPARATORS = str.maketrans("/\\", "__")


class FilenameError(Refusal):
    """A file cannot be called like this; `reason` says why and what to do instead."""


def check_filename(filename: str) -> None:
    """Raise FilenameError unless a file may be called `filename`."""
    if len(filename) > MAX_FILENAME or not safe_filename(filename):
        raise FilenameError(
            f"The file name must have 1 to {MAX_FILENAME} characters, not only spaces and dots."
        )
    if found := forbidden(filename):
        raise FilenameError(f"The file name holds {found}: remove it.")
    if turning := _TURNING.search(filename):
        raise FilenameError(
            f"The file name holds U+{ord(turning.group()):04X}, which turns the direction of text, so that "
            "an ending can be hidden: remove it."
        )


def safe_filename(filename: str) -> str:
    """Return the name that is told: no folders, and no spaces or dots at its end, which Windows drops."""
    return filename.translate(_SEPARATORS).rstrip(" .").lstrip(" ")
