"""Completing a finished mail: what it lacks goes in front of its header, as a host on its way would add it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.mail.fields import date_field
from app.mail.finished.reading import FinishedMail

_OF_MIME = frozenset({"content-disposition", "content-transfer-encoding", "content-type"})


@dataclass(frozen=True, slots=True)
class Missing:
    """What a mail gets where it lacks it; `message_id` is without <>, `date` knows its zone."""

    date: datetime
    message_id: str
    is_tls_optional: bool = False


def complete(mail: FinishedMail, missing: Missing) -> bytes:
    """Return the whole mail: Date and Message-ID (RFC 5322 §3.6), MIME-Version where the mail is MIME
    (RFC 2045 §4), `TLS-Required: No` where that is wished (RFC 8689 §3), and then the mail as it came.
    """
    added = []
    if "date" not in mail.names:
        added.append(date_field(missing.date))
    if "message-id" not in mail.names:
        added.append(f"Message-ID: <{missing.message_id}>\r\n")
    if "mime-version" not in mail.names and mail.names & _OF_MIME:
        added.append("MIME-Version: 1.0\r\n")
    if missing.is_tls_optional and not mail.is_tls_optional:
        added.append("TLS-Required: No\r\n")
    return b"".join(["".join(added).encode("ascii"), mail.head, b"\r\n", mail.body])
