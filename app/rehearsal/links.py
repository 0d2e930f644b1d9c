"""Links: whether the target of one can be followed from a mail."""

from __future__ import annotations

import re

from app.rehearsal.remarks import Code, Remark

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HOST = re.compile(r"https?://[^\s/?#]", re.IGNORECASE)
_SPACE = re.compile(r"\s")
_MOST_SHOWN = 60
_SCRIPTS = frozenset({"data", "javascript", "vbscript"})


def link_remark(target: str, pointer: str) -> Remark | None:
    """Return what is to be said of the target of a link; None where nothing is.

    Places in the mail itself (`#name`) and schemes that other programs know (`tel:`) are as good as the web.
    """
    target = target.strip(" \t\r\n\f")
    shown = f"the link {shortened(target)!a}"
    if target in ("", "#"):
        return Remark(Code.LINK_EMPTY, pointer, "a link leads nowhere: give it a whole URL")
    if "{{" in target or "{%" in target:
        return None  # what was not filled is remarked on wherever it stands
    scheme = _SCHEME.match(target)
    if scheme is None:
        if target.startswith("#"):
            return None
        detail = f"{shown} is relative, and a mail has no address to start from: write https://…"
        return Remark(Code.LINK_RELATIVE, pointer, detail)
    return _of_scheme(scheme[1].lower(), target, pointer)


def shortened(text: str) -> str:
    """Return the beginning of a text, for a sentence."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _of_scheme(scheme: str, target: str, pointer: str) -> Remark | None:
    shown = f"the link {shortened(target)!a}"
    if scheme in _SCRIPTS:
        detail = f"{shown} is taken away by mail readers: link to a page instead"
        return Remark(Code.LINK_SCRIPT, pointer, detail)
    is_web = scheme in ("http", "https")
    if _SPACE.search(target) and (is_web or scheme == "mailto"):
        detail = f"{shown} holds a space: write it as %20"
        return Remark(Code.LINK_BROKEN, pointer, detail)
    if is_web and not _HOST.match(target):
        detail = f"{shown} names no host: write {scheme}://host/…"
        return Remark(Code.LINK_BROKEN, pointer, detail)
    if scheme == "http":
        detail = f"{shown} is not encrypted, and readers may warn of it: write https://"
        return Remark(Code.LINK_INSECURE, pointer, detail)
    return None
