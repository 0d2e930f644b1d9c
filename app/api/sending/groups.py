"""A batch on its way: its messages are read and kept in groups, while the next ones come.

A group is small enough to hold and to be kept in one step, and large enough to share the wait for the disk.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.accept import Acceptor
from app.api.body import read_form
from app.api.problems import MalformedJson
from app.api.sending.batches import BatchMessage, SharedAttachmentIn
from app.api.sending.splitting import Item
from app.errors import FieldError, InvalidRequest, PillarboxError, SpoolError, TooLarge
from app.letters.drafts import Draft
from app.mail.refusal import Refusal
from app.messages import Receipt
from app.projects.keys import Caller
from app.settings import ApiSettings
from app.spool.store import Idempotency

_MOST_ITEMS = 50
_MOST_BYTES = 2_000_000
# A space in front: no client can choose such a key.
_KEY_PREFIX = " batch "


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends a batch, under which idempotency key, and who accepts it."""

    acceptor: Acceptor
    caller: Caller
    key: str | None


@dataclass(slots=True)
class Batch:
    """Takes the items of one batch in their order. `let_go` is told of bytes that are held no more."""

    sender: Sender
    limits: ApiSettings
    let_go: Callable[[int], None]
    results: list[Receipt | PillarboxError] = field(default_factory=list)
    _shared: dict[str, SharedAttachmentIn] = field(default_factory=dict)
    _digest: bytes = b""
    _group: list[bytes] = field(default_factory=list)
    _bytes: int = 0
    _sent_bytes: int = 0
    _trouble: SpoolError | None = None

    async def take(self, item: Item) -> None:
        """Take the next item. Raises InvalidRequest for an attachment, TooLarge where there are too many."""
        if item.name == "attachments":
            await self._share(item.body)
            return
        most = self.limits.max_batch_items
        if len(self.results) + len(self._group) == most:
            await self._send()
            raise TooLarge(f"a batch may have {most} messages: send what is left in another one")
        if self._group and self._bytes + len(item.body) > _MOST_BYTES:
            await self._send()
        self._group.append(item.body)
        self._bytes += len(item.body)
        if len(self._group) == _MOST_ITEMS:
            await self._send()

    async def end(self) -> None:
        """Keep what is left. Raises InvalidRequest for an empty batch, SpoolError where it could keep nothing."""
        await self._send()
        if not self.results:
            raise InvalidRequest((FieldError("/messages", "required", "must have a message"),))
        if self._trouble and not any(isinstance(result, Receipt) for result in self.results):
            raise self._trouble

    async def _share(self, body: bytes) -> None:
        number, most = len(self._shared), self.limits.max_attachments
        if number == most:
            detail = f"must have at most {most} items"
            raise InvalidRequest((FieldError("/attachments", "too_many", detail),))
        shared = await asyncio.to_thread(_read_shared, body, number)
        if shared.id in self._shared:
            detail = "another attachment has this id"
            raise InvalidRequest((FieldError(f"/attachments/{number}/id", "duplicate", detail),))
        self._shared[shared.id] = shared
        self._digest = hashlib.sha256(self._digest + hashlib.sha256(body).digest()).digest()

    async def _send(self) -> None:
        group, self._group = self._group, []
        held, self._bytes = self._bytes, 0
        if group and not self._trouble:
            self.results += await self._sent(group)
        elif self._trouble:
            self.results += [self._trouble] * len(group)
        self.let_go(held)

    async def _sent(self, group: list[bytes]) -> list[Receipt | PillarboxError]:
        keys = self._keys(group)
        read = await asyncio.to_thread(self._read_all, group)
        accepted = await self.sender.acceptor.accept_all(read, self.sender.caller, keys)
        self._trouble = next((each for each in accepted if isinstance(each, SpoolError)), None)
        return accepted

    def _keys(self, group: list[bytes]) -> list[Idempotency | None]:
        """Return a key for each item, by its place in the batch: it is the item that is sent once."""
        if self.sender.key is None:
            return [None] * len(group)
        first = len(self.results)
        return [
            Idempotency(
                f"{_KEY_PREFIX}{number} {self.sender.key}",
                hashlib.sha256(self._digest + body).digest(),
            )
            for number, body in enumerate(group, first)
        ]

    def _read_all(self, group: list[bytes]) -> list[Draft | PillarboxError]:
        now = datetime.now(UTC)
        return [self._read(body, now) for body in group]

    def _read(self, body: bytes, now: datetime) -> Draft | PillarboxError:
        try:
            if len(body) > self.limits.max_body_bytes:
                raise TooLarge(f"a message of a batch may have {self.limits.max_body_bytes} bytes")
            form = read_form(BatchMessage, body, self._shared)
            return self._bounded(form.to_draft(now, self.sender.acceptor.settings))
        except (MalformedJson, InvalidRequest, TooLarge) as error:
            return error

    def _bounded(self, draft: Draft) -> Draft:
        """Count what a message has to be signed; a small batch may have a large file a thousand times."""
        most, wanted = self.limits.max_batch_sent_bytes, self._sent_bytes + draft.size_bytes
        if wanted > most:
            raise TooLarge(
                f"the messages of a batch may have {most} bytes together, a shared attachment counted for each: "
                "send this one in another batch, or link to large files"
            )
        self._sent_bytes = wanted
        return draft


def _read_shared(body: bytes, number: int) -> SharedAttachmentIn:
    """Return an attachment, ready to go along. Raises InvalidRequest with pointers from the whole batch."""
    place = f"/attachments/{number}"
    try:
        shared = read_form(SharedAttachmentIn, body)
        shared.to_attachment()
    except InvalidRequest as error:
        raise InvalidRequest(
            tuple(
                FieldError(f"{place}{refused.pointer}", refused.code, refused.detail)
                for refused in error.fields
            )
        ) from error
    except Refusal as error:
        raise InvalidRequest((FieldError(place, "invalid_attachment", error.reason),)) from error
    return shared
