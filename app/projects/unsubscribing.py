"""Unsubscribing: what a ticket is worth. Its address goes on the list of its stream, and applications are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from app.events import EventRecord, EventType, SuppressionReason
from app.ids import new_event_id, recipient_id
from app.messages import Message, Suppression
from app.projects.tickets import Ticket
from app.spool.client import Redis
from app.spool.codec import EVENT, MESSAGE, SUPPRESSION, Unreadable
from app.spool.jobs import Alarm
from app.spool.replies import as_bytes, as_list, as_text
from app.spool.scripts import Scripts

_OWN_WORD = frozenset({SuppressionReason.UNSUBSCRIBED, SuppressionReason.COMPLAINED})
"""Reasons that the recipient gave; whoever takes off a list what bounced must not take them off with it."""


@dataclass(frozen=True, slots=True)
class Unsubscriber:
    """Ends what recipients get. Built once, at the start."""

    redis: Redis
    scripts: Scripts
    alarm: Alarm
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def unsubscribe(self, ticket: Ticket) -> None:
        """Suppress the address and tell of it, once however often it is asked.

        When this returns it is on disk, and holds for mail that waits too. Raises SpoolError. An entry that has
        another reason gets this one, so that it does not go when that reason does; what the recipient
        said before stays.
        """
        now = self.clock()
        why = Suppression(SuppressionReason.UNSUBSCRIBED, now, ticket.message)
        event, replaced = await self._event(ticket, now), b""
        while True:
            reply = await self.redis.keep(
                self.scripts.unsubscribe,
                *(ticket.project, ticket.stream, ticket.message, ticket.address),
                *(SUPPRESSION.encode(why), EVENT.encode(event), event.id, replaced),
            )
            match as_list(reply):
                case [b"known", bytes(known)]:
                    if SUPPRESSION.decode(known).reason in _OWN_WORD:
                        return
                    replaced = known
                case [_, *wakes]:
                    self.alarm.ring_soon([as_text(lane) for lane in wakes])
                    return

    async def _event(self, ticket: Ticket, now: datetime) -> EventRecord:
        message = await self._message(ticket)
        if message:
            return message.event(ticket.index, EventType.UNSUBSCRIBED, now)
        return EventRecord(
            id=new_event_id(),
            type=EventType.UNSUBSCRIBED,
            timestamp=now,
            message=ticket.message,
            recipient=recipient_id(ticket.message, ticket.index),
            address=ticket.address,
            tags=(),
            metadata={},
        )

    async def _message(self, ticket: Ticket) -> Message | None:
        """Return the message, None where it is kept no more or only a later program can read it."""
        stored = await self.redis.call("HGET", self.redis.keys.message + ticket.message, "m")
        try:
            return MESSAGE.decode(as_bytes(stored)) if stored else None
        except Unreadable:
            return None
