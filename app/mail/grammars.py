"""Grammars of header fields that programs read: what a caller may write into each, and what to write instead.

Readers do not complain of such a field, they pass over it: no button to unsubscribe, no thread, no
feedback. So `headers` asks here, and whoever writes such a field is told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ONE_CLICK = "List-Unsubscribe=One-Click"
"""The only value of List-Unsubscribe-Post (RFC 8058 §3.1)."""

_COMMENT = r"(?: *\([^()\\]*\))*"
_URI = r"<[A-Za-z][A-Za-z0-9+.-]*:[!-;=?-~]+>"
_URIS = rf"{_COMMENT} *{_URI}{_COMMENT}(?: *,{_COMMENT} *{_URI}{_COMMENT})* *"
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_LIST_ID = rf'(?:[^<>"\\]|"(?:[^"\\]|\\.)*")*<(?=[^>]{{1,255}}>){_ATEXT}+(?:\.{_ATEXT}+)+> *'
_MESSAGE_IDS = r"<[!-;=?-~]+>(?: +<[!-;=?-~]+>)*"


@dataclass(frozen=True, slots=True)
class _Grammar:
    pattern: re.Pattern[str]
    remedy: str


_LINKS = _Grammar(
    re.compile(_URIS),
    "URLs in angle brackets with commas between them, as in <https://shop.example/u>",
)
_THREAD = _Grammar(re.compile(_MESSAGE_IDS), "message ids, as in <id@host> <id@host>")
_GRAMMARS: Mapping[str, _Grammar] = MappingProxyType(
    {
        "in-reply-to": _THREAD,
        "references": _THREAD,
        # RFC 3834 §5 leaves room for further words; all that are known begin alike.
        "auto-submitted": _Grammar(
            re.compile(r"(?:no|auto-[a-z-]+)(?: *;[ -~]*)?", re.IGNORECASE),
            "no, auto-generated or auto-replied (RFC 3834 §5)",
        ),
        # https://support.google.com/mail/answer/6254652: up to four parts, of which the last is required.
        "feedback-id": _Grammar(
            re.compile(r"(?:[!-9;-~]*:){0,3}[!-9;-~]+"),
            "at most four parts with colons between them, as in campaign:customer:kind:sender",
        ),
        "list-id": _Grammar(
            re.compile(_LIST_ID),
            "an identifier like a domain name in angle brackets, as in <news.shop.example> (RFC 2919 §2)",
        ),
        "list-unsubscribe-post": _Grammar(
            re.compile(re.escape(ONE_CLICK), re.IGNORECASE), f"{ONE_CLICK} (RFC 8058 §3.1)"
        ),
        "list-post": _Grammar(re.compile(rf"{_URIS}|NO{_COMMENT} *"), f"{_LINKS.remedy}, or NO"),
        **dict.fromkeys(
            ("list-help", "list-unsubscribe", "list-subscribe", "list-owner", "list-archive"),
            _LINKS,
        ),
    }
)
# Plain HTTP to the machine itself is for development: nobody else can be meant by it.
_HTTPS = re.compile(r"<https:|<http://(?:localhost|127\.0\.0\.1|\[::1\])[:/]", re.IGNORECASE)


def remedy_for(name: str, value: str) -> str | None:
    """Return what the field must hold instead of `value`, None where it may hold that."""
    grammar = _GRAMMARS.get(name.lower())
    return (
        None if grammar is None or grammar.pattern.fullmatch(value.strip(" ")) else grammar.remedy
    )


def is_one_click(unsubscribe: str) -> bool:
    """Tell whether List-Unsubscribe has the one HTTPS URL that one-click needs (RFC 8058 §3.1)."""
    return len(_HTTPS.findall(unsubscribe)) == 1
