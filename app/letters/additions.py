"""Header fields beside those of every mail: what fields of the request ask for, and what the stream asks for.

`writer` takes them from here, in the order in which they stand in the mail. A further kind of field is
one more step of `header_fields`. `Links` makes the URLs to unsubscribe at, another one for each recipient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.letters.drafts import AnyDraft, Draft
from app.mail.sameness import normal_form
from app.messages import Message, Stream
from app.projects.tickets import KEY_BYTES, Ticket, Tickets
from app.settings import Settings

_PURPOSE = "unsubscribe"
"""What the keys of tickets are derived for."""


def header_fields(draft: Draft, url: str = "") -> tuple[tuple[str, str], ...]:
    """Return the fields that a mail has besides those for people; the caller's own come last.

    `url` is the one made here to unsubscribe at, if one is.
    """
    unsubscribe = draft.unsubscribe.fields(url) if draft.unsubscribe else ()
    return (*draft.thread.fields(), *_automatic(draft), *unsubscribe, *draft.headers)


def _automatic(draft: Draft) -> Iterator[tuple[str, str]]:
    """Say of mail to many that nobody wrote it by hand, so that absence notes do not answer (RFC 3834 §5).

    Of transactional mail only the caller knows; what the caller says stands.
    """
    is_said = any(name.lower() == "auto-submitted" for name, _ in draft.headers)
    if draft.options.stream is Stream.BULK and not is_said:
        yield "Auto-Submitted", "auto-generated"


@dataclass(frozen=True, slots=True)
class Links:
    """Makes the URLs. Built once, at the start; without keys nobody may ask for one."""

    tickets: Tickets = field(default_factory=lambda: Tickets(()))
    base_url: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Links:
        """Return what makes URLs by these settings."""
        return cls(tickets_of(settings), settings.unsubscribe.base_url or "")

    def url(self, draft: AnyDraft, message: Message, index: int) -> str:
        """Return the URL of the recipient at `index`; empty where none is to be made."""
        if not isinstance(draft, Draft) or not (draft.unsubscribe and draft.unsubscribe.is_hosted):
            return ""
        ticket = Ticket(
            project=message.project,
            stream=message.stream,
            message=message.id,
            index=index,
            sender=draft.sender.address.domain,
            address=normal_form(message.recipients[index].address),
        )
        return f"{self.base_url}/unsubscribe/{self.tickets.seal(ticket)}"


def tickets_of(settings: Settings) -> Tickets:
    """Return what seals and reads tickets with the keys of this installation."""
    return Tickets(settings.secrets.derived(_PURPOSE, KEY_BYTES))
