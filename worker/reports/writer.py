"""Writing delivery reports: each becomes a message of the project that it is for, once.

A report that was kept just before its worker died is met again when the claim comes back, and is not kept
twice: its name is its idempotency key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from email.parser import BytesHeaderParser
from email.policy import default

from app.identity.keys.keyring import Keyring
from app.ids import new_message_id
from app.mail.address import Address, Mailbox
from app.mail.dkim import sign
from app.messages import Field, Letter, Message, Recipient, Stream
from app.settings import Settings
from app.spool.store import Idempotency, Store
from app.spool.workers.reports import Notice
from worker.reports.dsn import DeliveryReport, compose_report
from worker.reports.notices import Subject, subjects, unspeakable

_NAME = "Mail delivery"
# A space in front: no client can choose such a key.
_KEY_PREFIX = " report "


@dataclass(frozen=True, slots=True)
class Reporter:
    """Composes, signs and keeps reports. Built once, at the start."""

    store: Store
    keyring: Keyring
    settings: Settings
    clock: Callable[[], datetime]

    async def tell(self, notice: Notice) -> tuple[str, ...]:
        """Keep the reports on a notice as messages; return the lanes to ring for. May be repeated.

        Raises SpoolError where Redis takes no new mail.
        """
        wakes: list[str] = []
        for subject in subjects(notice):
            letter = await self.written(notice, subject)
            # The same key comes with the same report: what could differ is its time alone.
            once = Idempotency(f"{_KEY_PREFIX}{subject.key}", b"")
            wakes += (await self.store.keep(letter, once)).wakes
        return tuple(wakes)

    async def written(self, notice: Notice, subject: Subject) -> Letter:
        """Return the report on a subject as a message."""
        header = notice.header_for(min(subject.states))
        told = _as_sent(notice.message, header)
        message, domain = self._message(told), told.author.rpartition("@")[2]
        report = DeliveryReport(
            message=told,
            states=tuple(sorted(subject.states.items())),
            header=header,
            sender=Mailbox(_NAME, Address(self.settings.reports.postmaster, domain)),
            mta=self.settings.delivery.ehlo_name.rstrip("."),
            id=f"{message.id.removeprefix('msg_')}@{domain}",
            at=message.created_at,
            unspeakable=unspeakable(told, subject),
        )
        keys = await self.keyring.keys_for(message.project, domain)
        raw = sign(compose_report(report), keys, report.at)
        return Letter(replace(message, subject=report.subject, size_bytes=len(raw)), (raw,))

    def _message(self, told: Message) -> Message:
        """Return a report as a message: from the null return path, so that nothing is ever reported on it."""
        now, reader = self.clock(), told.report_to or ""
        return Message(
            id=new_message_id(),
            project=told.project,
            stream=Stream.TRANSACTIONAL,
            mail_from="",
            subject="",
            recipients=(Recipient(reader, reader.rpartition("@")[2], Field.TO),),
            tags=(),
            metadata={},
            created_at=now,
            expires_at=now + self.settings.delivery.expires_after,
            reports_on=told.id,
            # It holds the header of the message, and so is as worthy of protection (RFC 8689 §5).
            tls=told.tls,
        )


def _as_sent(message: Message, header: bytes) -> Message:
    """Return the message with the subject of the copy that has this header."""
    if not message.is_merged or not header:
        return message
    subject = BytesHeaderParser(policy=default).parsebytes(header)["Subject"]
    return replace(message, subject=str(subject or ""))
