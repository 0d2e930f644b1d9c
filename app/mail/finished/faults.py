"""What is wrong with a finished mail: each fault with its place, a stable code, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.mail.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `place` is ("header",), ("header", a field's name in lower case) or ("body",)."""

    place: tuple[str, ...]
    code: str
    reason: str


class MailError(Refusal):
    """The mail cannot be sent as it is; `faults` say why, in the order they were found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Keep the faults, of which there is at least one."""
        super().__init__("; ".join(fault.reason for fault in faults))
        self.faults = tuple(faults)
