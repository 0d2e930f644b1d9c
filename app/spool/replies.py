"""Redis replies as typed values. A reply of another shape is a fault of ours, so these raise TypeError."""

from __future__ import annotations

from app.spool.client import Reply


def as_bytes(reply: Reply) -> bytes:
    """Return a bulk string."""
    if not isinstance(reply, bytes):
        raise TypeError(f"Redis gave {type(reply).__name__}, not a string")
    return reply


def as_text(reply: Reply) -> str:
    """Return a bulk string as text."""
    return as_bytes(reply).decode()


def as_int(reply: Reply) -> int:
    """Return an integer, also one that came as a string."""
    return reply if isinstance(reply, int) else int(as_bytes(reply))


def as_list(reply: Reply) -> list[Reply]:
    """Return an array; none counts as an empty one."""
    if reply is None:
        return []
    if not isinstance(reply, list):
        raise TypeError(f"Redis gave {type(reply).__name__}, not a list")
    return reply
