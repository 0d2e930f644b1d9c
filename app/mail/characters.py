"""Characters that no header, address or file name may hold: the root of every injection.

Each module that takes such text from a caller asks here first, so that the rule exists once.
"""

from __future__ import annotations

import re

# C0 and DEL end or hide lines somewhere (CWE-93); lone surrogates have no UTF-8 form.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def forbidden(text: str) -> str | None:
    """Name the first forbidden one ("the control character U+000A"), None if there is none."""
    found = _FORBIDDEN.search(text)
    if found is None:
        return None
    code = ord(found.group())
    kind = "lone surrogate" if code > 0x7F else "control character"
    return f"the {kind} U+{code:04X}"


def blanked(text: str) -> str:
    """Return `text` with a space in place of each forbidden one."""
    return _FORBIDDEN.sub(" ", text)


def is_encodable(text: str) -> bool:
    """Tell whether `text` has a UTF-8 form, that is, holds no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
