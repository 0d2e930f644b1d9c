"""What one SMTP transaction carries."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Controls and spaces of any script, what ends a path, and halves of characters that UTF-8 does not have.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\s<>\ud800-\udfff]")
_END_OF_HEADER = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A return path (empty for the null path), recipients, and a finished message.

    `message` is in the canonical form of RFC 5321 §2.3.8: every line ends in CRLF and no CR or LF
    stands alone. Addresses may hold UTF-8 (RFC 6531). Raises ValueError for an address that would end
    a command early or start another.
    """

    mail_from: str
    recipients: tuple[str, ...]
    message: bytes

    def __post_init__(self) -> None:
        for address in (self.mail_from, *self.recipients):
            if _UNSAFE.search(address):
                raise ValueError(f"the address {address!r} cannot stand in an SMTP command")

    def has_eight_bits(self) -> bool:
        """Tell whether the message may only be sent where 8BITMIME is offered (RFC 6152)."""
        return not self.message.isascii()

    def needs_utf8(self) -> bool:
        """Tell whether an address or the header may only be sent where SMTPUTF8 is offered (RFC 6531 §3.2).

        A body in UTF-8 does not need it, and a domain has its A-labels.
        """
        if not all(address.isascii() for address in (self.mail_from, *self.recipients)):
            return True
        if self.message.isascii():
            return False
        end = self.message.find(_END_OF_HEADER)
        return not self.message[: end if end >= 0 else None].isascii()
