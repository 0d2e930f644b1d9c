"""What clients send to `POST /messages`, and the way from it to a draft."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pydantic import ConfigDict

from app.api.fields import (
    many,
    one,
)
from app.api.sending.content import ContentForm, read_attachments
from app.api.sending.merging import MergeForm, by_address, read_recipients_data
from app.api.sending.options import OptionsForm
from app.api.sending.templates import chosen
from app.api.sending.unsubscribing import (
    UnsubscribeForm,
    refused_unsubscribe,
    refused_without_one_click,
)
from app.errors import FieldError, InvalidRequest
from app.letters.drafts import Draft
from app.letters.values import pack
from app.mail.mime.content import Attachment
from app.settings import Settings


class MessageRequest(OptionsForm, UnsubscribeForm, MergeForm, ContentForm):
    """A message to send, to at least one recipient in `to`, `cc` or `bcc`, with `text`, `html` or both, or with
    a `template`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "Pillarbox <hello@shop.example>",
                    "to": "Ada Lovelace <ada@example.com>",
                    "subject": "Your order has shipped",
                    "text": "It will be with you on Friday.",
                    "html": "<p>It will be with you on <b>Friday</b>.</p>",
                    "tags": ["shipping"],
                    "metadata": {"order": "1815"},
                }
            ]
        }
    )

    def to_draft(self, now: datetime, settings: Settings) -> Draft:
        """Return the domain's value. Raises InvalidRequest for what fields only show together."""
        attachments = list(read_attachments(self.attachments or []))
        invitation = self.calendar.read() if self.calendar else None
        data = list(read_recipients_data(self, self.to, {"cc": self.cc, "bcc": self.bcc}))
        read = [*attachments, invitation, *data]
        refused = [item for item in read if isinstance(item, FieldError)]
        refused += [*self.refused_content(settings), *self.refused_options(now, settings)]
        refused += self._refused_unsubscribe(settings)
        if refused or isinstance(invitation, FieldError):
            raise InvalidRequest(tuple(refused))
        return Draft(
            sender=one(self.sender),
            to=many(self.to),
            cc=many(self.cc),
            bcc=many(self.bcc),
            reply_to=many(self.reply_to),
            subject=self.subject or "",
            text=self.text,
            html=self.html,
            amp=self.amp,
            invitation=invitation,
            attachments=tuple(item for item in attachments if isinstance(item, Attachment)),
            thread=self.thread(),
            headers=tuple((self.headers or {}).items()),
            template=chosen(self.template),
            unsubscribe=self.unsubscribe(),
            variables=None if self.variables is None else pack(self.variables),
            recipients_data=by_address(data) if self.recipients_data is not None else None,
            options=self.to_options(now),
        )

    def _refused_unsubscribe(self, settings: Settings) -> Iterator[FieldError]:
        wanted, headers = self.list_unsubscribe, self.headers or {}
        yield from refused_unsubscribe(wanted, headers, settings)
        yield from refused_without_one_click(self.stream, wanted, headers, settings)
