"""How long each step may take, in the seconds that the event loop wants (RFC 5321 §4.5.3.2)."""

from __future__ import annotations

from dataclasses import dataclass

from app.settings.delivering import SmtpTimeouts


@dataclass(frozen=True, slots=True)
class Timeouts:
    """One limit for each step of a session; `app.settings.SmtpTimeouts` says what each means."""

    connect: float
    greeting: float
    ehlo: float
    mail: float
    rcpt: float
    data: float
    block: float
    dot: float
    quit: float
    attempt: float

    @classmethod
    def of(cls, settings: SmtpTimeouts) -> Timeouts:
        """Convert the settings, once."""
        return cls(
            connect=settings.connect.total_seconds(),
            greeting=settings.greeting.total_seconds(),
            ehlo=settings.ehlo.total_seconds(),
            mail=settings.mail.total_seconds(),
            rcpt=settings.rcpt.total_seconds(),
            data=settings.data.total_seconds(),
            block=settings.block.total_seconds(),
            dot=settings.dot.total_seconds(),
            quit=settings.quit.total_seconds(),
            attempt=settings.attempt.total_seconds(),
        )
