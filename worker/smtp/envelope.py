"""What one SMTP transaction carries."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What is not printable ASCII, and what ends a path; without SMTPUTF8 (RFC 6531) nothing else may stand in one.
_UNSAFE = re.compile(r"[^\x21-\x7e]|[<>]")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A return path (empty for the null path), recipients, and a finished message.

    `message` is in the canonical form of RFC 5321 §2.3.8: every line ends in CRLF and no CR or LF
    stands alone. Raises ValueError for an address that would end a command early or start another.
    """

    mail_from: str
    recipients: tuple[str, ...]
    message: bytes

    def __post_init__(self) -> None:
        for address in (self.mail_from, *self.recipients):
            if _UNSAFE.search(address):
                raise ValueError(f"the address {address!r} cannot stand in an SMTP command")
