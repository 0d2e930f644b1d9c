"""The errors of the domain. Each knows a stable `code`; none knows HTTP (`app.api.problems` does).

PillarboxError
    InvalidRequest          a field cannot be accepted: `fields` name each by JSON pointer
    TooLarge                the request exceeds a limit that the settings name
    Unauthenticated         no key, or not one of ours
    Forbidden               the key lacks the scope
    NotFound                no such thing in this project
    IdempotencyConflict     the key was used before with another payload
    SpoolError              Redis cannot take or give mail now; try again later
        SpoolUnavailable    away, loading, or not answering
        SpoolFull           out of memory or disk, or read-only
    WorkshopBusy            no HTML can be worked on now; try again later
    VaultClosed             the secret that keys are encrypted with is missing, or is another one
    ConfigurationError      the settings contradict each other or the machine; ends the start
    ChildError              a process that this one started ended while it was needed
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One refused field: where it stands (RFC 6901 pointer), a stable code, and what to do about it."""

    pointer: str
    code: str
    detail: str


def pointer_step(name: str) -> str:
    """Return a name as a step of a pointer (RFC 6901 §3)."""
    return name.replace("~", "~0").replace("/", "~1")


def steps_of(pointer: str) -> tuple[str, ...]:
    """Return the names that a pointer leads through; none for the whole document."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


class PillarboxError(Exception):
    """Base of all errors that this project raises on purpose."""

    code = "error"

    def __init__(self, detail: str) -> None:
        """Keep one sentence for the person who has to act."""
        super().__init__(detail)
        self.detail = detail


class InvalidRequest(PillarboxError):
    """One or more fields cannot be accepted; nothing was stored."""

    code = "invalid_request"

    def __init__(self, fields: tuple[FieldError, ...], detail: str = "") -> None:
        """Keep the refused fields, in the order they were found."""
        super().__init__(detail or "; ".join(map(_told, fields)))
        self.fields = fields


def _told(field: FieldError) -> str:
    """Return the place and what is wrong there; what is wrong with the whole has no place."""
    return f"{field.pointer}: {field.detail}" if field.pointer else field.detail


class TooLarge(PillarboxError):
    """The request exceeds a limit; nothing was stored."""

    code = "too_large"


class Unauthenticated(PillarboxError):
    """No usable API key came with the request."""

    code = "unauthenticated"


class Forbidden(PillarboxError):
    """The API key does not have the scope that the call needs."""

    code = "forbidden"


class NotFound(PillarboxError):
    """There is no such thing in the caller's project."""

    code = "not_found"


class IdempotencyConflict(PillarboxError):
    """The idempotency key belongs to a request with another payload."""

    code = "idempotency_conflict"


class SpoolError(PillarboxError):
    """Redis cannot keep or give mail now. `retry_after_s` says when asking again makes sense."""

    code = "spool_unavailable"
    retry_after_s = 5


class SpoolUnavailable(SpoolError):
    """Redis is away, loading its data, or does not answer in time."""


class SpoolFull(SpoolError):
    """Redis refuses writes: memory or disk is full, or it is a read-only replica."""

    code = "spool_full"
    retry_after_s = 30


class WorkshopBusy(PillarboxError):
    """Too many texts wait for the workshop, or its child processes cannot be started."""

    code = "crowded"


class VaultClosed(PillarboxError):
    """Encrypted keys cannot be kept or read: the secret of the installation is missing, or is another one."""

    code = "vault_closed"


class ConfigurationError(PillarboxError):
    """The settings, or the machine they meet, do not allow a start."""

    code = "configuration"


class ChildError(PillarboxError):
    """A child process ended, or never became ready, while it was needed."""
