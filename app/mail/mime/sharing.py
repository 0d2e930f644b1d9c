"""Sharing: a large part that many messages have is kept once, and its name in the bytes of each.

The name stands between two NULs, which no composed mail holds; the claim of a worker puts the part back
(`app/spool/lua/shared.lua`).
"""

from __future__ import annotations

from collections.abc import Iterable

from app.mail.mime.content import Attachment
from app.mail.mime.transfer import SharedBody

_LEAST_BYTES = 16 * 1024
"""Smaller parts are kept with each message: to look one up costs more than it saves."""
_PROBE = 64


def shared_parts(attachments: Iterable[Attachment]) -> tuple[SharedBody, ...]:
    """Return the parts that are worth to be kept once, each once."""
    bodies = (attachment.encoded for attachment in attachments)
    found = {body.name: body for body in bodies if body and len(body.octets) >= _LEAST_BYTES}
    return tuple(found.values())


def without_parts(raw: bytes, parts: Iterable[SharedBody]) -> bytes:
    """Return a mail with the names of these parts where they stood."""
    for part in parts:
        raw = _without(raw, part)
    return raw


def _without(raw: bytes, part: SharedBody) -> bytes:
    """A part stands behind an empty line; to look for its beginning is cheaper than to look for all of it."""
    beginning, pieces, done = b"\r\n\r\n" + part.octets[:_PROBE], [], 0
    at = raw.find(beginning)
    while at >= 0:
        start = at + len(b"\r\n\r\n")
        if raw.startswith(part.octets, start):
            pieces += [raw[done:start], b"\0%b\0" % part.name.encode("ascii")]
            done = start + len(part.octets)
        at = raw.find(beginning, max(done, start))
    return b"".join([*pieces, raw[done:]])
