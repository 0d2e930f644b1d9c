"""What one SMTP transaction carries."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Controls and spaces of any script, what ends a path, and halves of characters that UTF-8 does not have.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\s<>\ud800-\udfff]")
_MOST_PARAMETERS = 500
"""Octets that the parameters of DSN may add to RCPT TO (RFC 3461 §4)."""
_END_OF_HEADER = b"\r\n\r\n"
# What no parameter may hold as it stands (RFC 3461 §4), and where UTF-8 is spoken (RFC 6533 §3).
_NOT_XTEXT = re.compile(r"[^!-*,-<>-~]")
_NOT_UNITEXT = re.compile(r"[\x00-\x20\x7f+=\\]")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A return path (empty for the null path), recipients, and a finished message.

    `message` is in the canonical form of RFC 5321 §2.3.8: every line ends in CRLF and no CR or LF
    stands alone. Addresses may hold UTF-8 (RFC 6531). `id` is the sender's name for it, which reports of
    receivers carry; without one, none are asked for. Raises ValueError for an address that would
    end a command early or start another.
    """

    mail_from: str
    recipients: tuple[str, ...]
    message: bytes
    id: str = ""

    def __post_init__(self) -> None:
        for address in (self.mail_from, *self.recipients):
            if _UNSAFE.search(address):
                raise ValueError(f"the address {address!r} cannot stand in an SMTP command")

    def has_eight_bits(self) -> bool:
        """Tell whether the message may only be sent where 8BITMIME is offered (RFC 6152)."""
        return not self.message.isascii()

    def needs_utf8(self) -> bool:
        """Tell whether sender or header may only be sent where SMTPUTF8 is offered (RFC 6531 §3.2, §3.4).

        Then all recipients need it; else only those whose own address does. A body in UTF-8 does not need it, and
        a domain has its A-labels.
        """
        if not self.mail_from.isascii():
            return True
        if self.message.isascii():
            return False
        end = self.message.find(_END_OF_HEADER)
        return not self.message[: end if end >= 0 else None].isascii()

    def sender_parameters(self) -> str:
        """Return what MAIL FROM says to a host that offers DSN: what its reports shall hold (RFC 3461 §4.3, §4.4).

        With the null return path it says nothing (RFC 3461 §6.1 forbids RET).
        """
        return f" RET=HDRS ENVID={_xtext(self.id)}" if self.id and self.mail_from else ""

    def recipient_parameters(self, index: int) -> str:
        """Return what RCPT TO says to a host that offers DSN: which reports are wanted (RFC 3461 §4.1, §4.2).

        Failures after it has taken the mail, which nobody else will report; no delays, which we report while the
        mail is ours. A message with the null return path, such as a report, has none (RFC 3461 §6.1).
        """
        if not self.mail_from:
            return " NOTIFY=NEVER"
        if not self.id:
            return ""
        address = self.recipients[index]
        original = (
            f"rfc822;{_xtext(address)}" if address.isascii() else f"utf-8;{_unitext(address)}"
        )
        told = f" NOTIFY=FAILURE ORCPT={original}"
        # Where nearly all of a local part has to be escaped, the host knows the address by the path alone.
        return told if len(told.encode()) <= _MOST_PARAMETERS else " NOTIFY=FAILURE"


def _xtext(text: str) -> str:
    return _NOT_XTEXT.sub(lambda found: f"+{ord(found.group()):02X}", text)


def _unitext(address: str) -> str:
    """Return an address in UTF-8 as a parameter; hosts that it is sent to offer SMTPUTF8 (RFC 6533 §3)."""
    return _NOT_UNITEXT.sub(lambda found: f"\\x{{{ord(found.group()):02X}}}", address)
