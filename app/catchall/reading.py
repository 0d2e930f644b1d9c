"""Take an arrived mail apart for people to read: nothing in it is trusted, and nothing here raises.

The standard library's parser does the work. What it cannot make sense of shows up as text or not
at all; the source of a mail can always be read raw.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from itertools import islice
from typing import TypeAlias

_MAX_HEADERS = 200
_MAX_VALUE = 4_000
_MAX_PARTS = 200
_FORMS = frozenset({"text/plain", "text/html", "text/x-amp-html", "text/calendar"})
# Controls, bidirectional overrides and lone surrogates: they reorder or break what is shown.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# The parser promises not to raise, but hostile mails get some of these out of it.
_FAULTS = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)


@dataclass(frozen=True, slots=True)
class Part:
    """One attachment or inline picture."""

    filename: str
    content_type: str
    content_id: str | None
    content: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as people see it; None where it has no body of that kind."""

    headers: tuple[tuple[str, str], ...] = ()
    text: str | None = None
    html: str | None = None
    amp: str | None = None
    calendar: str | None = None
    parts: tuple[Part, ...] = ()

    def header(self, name: str) -> str:
        """Return the first header field of this name, or an empty text."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")


def read_letter(content: bytes) -> Letter:
    """Return the mail with all its parts."""
    try:
        message = BytesParser(policy=policy.compat32).parsebytes(content)
        leaves = list(islice(_leaves(message), _MAX_PARTS))
    except _FAULTS:
        return read_headers(content)
    bodies = _bodies(leaves)
    return Letter(
        headers=_headers(message),
        text=_text(bodies.get("text/plain")),
        html=_text(bodies.get("text/html")),
        amp=_text(bodies.get("text/x-amp-html")),
        calendar=_text(bodies.get("text/calendar")),
        parts=tuple(_part(leaf) for leaf in leaves if not _is_among(leaf, bodies)),
    )


def read_headers(content: bytes) -> Letter:
    """Return the mail with its header fields only, which is all that a list needs."""
    try:
        message = BytesParser(policy=policy.compat32).parsebytes(content, headersonly=True)
        return Letter(headers=_headers(message))
    except _FAULTS:
        return Letter()


def printable(text: str) -> str:
    """Return `text` with what could break a page or a terminal replaced by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


_Message: TypeAlias = "Message[str, str]"


def _headers(message: _Message) -> tuple[tuple[str, str], ...]:
    fields = islice(message.raw_items(), _MAX_HEADERS)
    return tuple((printable(name), _decoded(str(value))) for name, value in fields)


def _decoded(value: str) -> str:
    """Return a header value unfolded, with its encoded words decoded (RFC 2047)."""
    unfolded = re.sub(r"\r?\n[ \t]*", " ", _unescaped(value[:_MAX_VALUE]))
    try:
        pieces = [_piece(*piece) for piece in decode_header(unfolded)]
    except (HeaderParseError, *_FAULTS):
        pieces = [unfolded]
    return printable("".join(pieces))


def _unescaped(value: str) -> str:
    """Return the text of a value in which the parser has hidden raw bytes as surrogates."""
    try:
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return value


def _piece(content: bytes | str, charset: str | None) -> str:
    return content if isinstance(content, str) else _decode(content, charset)


def _decode(content: bytes, charset: str | None) -> str:
    """Return bytes as text, whatever charset they claim; what does not fit becomes U+FFFD."""
    try:
        return content.decode(charset or "utf-8", "replace")
    except _FAULTS:
        return content.decode("utf-8", "replace")


def _leaves(message: _Message) -> Iterator[_Message]:
    """Yield the parts in their order; a mail that was passed on is one part, whatever is in it."""
    if message.get_content_maintype() != "multipart" or not message.is_multipart():
        yield message
        return
    for part in message.get_payload():
        if isinstance(part, Message):
            yield from _leaves(part)


def _bodies(leaves: list[_Message]) -> dict[str, _Message]:
    """Return the leaves that are forms of the mail's text: the first of each kind."""
    bodies: dict[str, _Message] = {}
    for leaf in leaves:
        kind = leaf.get_content_type()
        if kind in _FORMS and not _is_attached(leaf):
            bodies.setdefault(kind, leaf)
    return bodies


def _is_among(leaf: _Message, bodies: dict[str, _Message]) -> bool:
    return any(leaf is body for body in bodies.values())


def _is_attached(leaf: _Message) -> bool:
    return str(leaf.get("Content-Disposition", "")).lower().startswith("attachment")


def _text(leaf: _Message | None) -> str | None:
    if leaf is None:
        return None
    return printable(_decode(_payload(leaf), _charset(leaf)).replace("\r\n", "\n"))


def _charset(leaf: _Message) -> str | None:
    try:
        return leaf.get_content_charset()
    except _FAULTS:
        return None


def _payload(leaf: _Message) -> bytes:
    try:
        if leaf.is_multipart():
            return b"".join(
                inner.as_bytes() for inner in leaf.get_payload() if isinstance(inner, Message)
            )
        payload = leaf.get_payload(decode=True)
    except _FAULTS:
        return b""
    return payload if isinstance(payload, bytes) else b""


def _part(leaf: _Message) -> Part:
    return Part(
        filename=_filename(leaf),
        content_type=printable(leaf.get_content_type()),
        content_id=_content_id(leaf),
        content=_payload(leaf),
    )


def _filename(leaf: _Message) -> str:
    try:
        name = leaf.get_filename() or ""
    except _FAULTS:
        name = ""
    # A browser that saves it must not be told where.
    return _decoded(name).replace("/", "_").replace("\\", "_").strip(". ") or "unnamed"


def _content_id(leaf: _Message) -> str | None:
    value = str(leaf.get("Content-ID", "")).strip().removeprefix("<").removesuffix(">")
    return printable(value) or None
