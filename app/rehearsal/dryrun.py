"""Dry runs: everything that sending does up to the step that keeps the mail, and what is to be said of it.

The way is the one of `app.accept`, so that a dry run is refused exactly where sending is. What only the DNS
knows is asked of a worker, and waited for some seconds; without an answer the rest is told all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice

from app.accept import Acceptor
from app.letters.drafts import AnyDraft, Draft
from app.letters.writer import Written
from app.messages import Message, Suppression
from app.projects.keys import Caller
from app.projects.suppressions import Suppressions
from app.rehearsal.alignment import Alignment, dmarc_of
from app.rehearsal.contents import MOST_LOOKED_AT, content_remarks
from app.rehearsal.heads import head_remarks
from app.rehearsal.prospects import INQUIRY, PROSPECT, Prospect, Way
from app.rehearsal.remarks import Remark
from app.rehearsal.verdicts import alignment_remarks, way_remarks
from app.spool.codec import Unreadable
from app.spool.inquiries import Inquiries

_AT_A_TIME = 50
"""Dry runs of one process that ask a worker at a time; what the DNS says is left out of others."""
MOST_DOMAINS = 50
"""Domains of recipients that are looked up."""
MOST_COPIES = 10
"""Copies of a merge that are looked at and shown."""
MOST_SHOWN_BYTES = 4 * 1024 * 1024
"""Bytes that are shown of all copies together."""
_MOST_REMARKS = 100


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy as it would be sent: to one recipient, by its place, or (None) to all. `octets` are None where they
    are too many to be shown."""

    index: int | None
    size_bytes: int
    octets: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class DryRun:
    """What sending would have done. `ways` has the domains that were looked up in time."""

    message: Message
    suppressions: tuple[Suppression | None, ...]
    copies: tuple[Copy, ...]
    alignment: Alignment
    ways: Mapping[str, Way]
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of the copies once their turn is over."""

    message: Message
    copies: tuple[Copy, ...]
    signers: tuple[str, ...]
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Makes dry runs. Built once, at the start."""

    acceptor: Acceptor
    suppressions: Suppressions
    inquiries: Inquiries
    patience: timedelta
    asking: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(_AT_A_TIME), repr=False
    )

    async def run(self, draft: AnyDraft, caller: Caller) -> DryRun:
        """Do all of sending but keeping. Raises InvalidRequest, TooLarge, or SpoolError, as sending does."""
        async with self.acceptor.written(draft, caller) as written:
            seen = await asyncio.to_thread(_seen, written)
        message = seen.message
        addresses = [each.address for each in message.recipients]
        suppressions = await self.suppressions.found(caller.project, message.stream, addresses)
        domains = dict.fromkeys(each.domain for each in message.recipients)
        prospect = await self._prospect(message, [*domains][:MOST_DOMAINS])
        ways = {way.domain: way for way in prospect.ways}
        alignment = _alignment(seen, prospect)
        said = [
            *seen.remarks,
            *alignment_remarks(alignment, draft.sender_pointer),
            *way_remarks(_places(draft, message), ways),
        ]
        return DryRun(
            message, suppressions, seen.copies, alignment, ways, tuple(said[:_MOST_REMARKS])
        )

    async def _prospect(self, message: Message, domains: Sequence[str]) -> Prospect:
        if self.asking.locked():
            return Prospect()
        author = _domain(message.author)
        async with self.asking:
            names = (author, message.tls, *domains)
            answer = await self.inquiries.ask(INQUIRY, *names, patience=self.patience)
        try:
            return PROSPECT.decode(answer) if answer else Prospect()
        except Unreadable:  # of a worker that is newer
            return Prospect()


def _seen(written: Written) -> _Seen:
    letter, outline = written.letter, written.outline
    remarks: dict[Remark, None] = {}
    room = MOST_LOOKED_AT
    for mail, octets in islice(zip(outline.mails, letter.copies, strict=False), MOST_COPIES):
        remarks |= dict.fromkeys(_remarks(mail, octets))
        room -= len(mail.html or "") if isinstance(mail, Draft) else 0
        if room <= 0:
            break  # copies differ little, and looking takes time
    signers = tuple(dict.fromkeys(key.domain for key in outline.keys))
    copies = tuple(_copies(letter.message, letter.copies))
    return _Seen(letter.message, copies, signers, tuple(remarks))


def _remarks(mail: AnyDraft, octets: bytes) -> Iterator[Remark]:
    yield from head_remarks(mail, set(_names(octets)))
    if isinstance(mail, Draft):
        yield from content_remarks(mail)


def _names(octets: bytes) -> Iterator[str]:
    """Yield the names of the header fields of a mail, in lower case."""
    for line in octets[: octets.find(b"\r\n\r\n")].split(b"\r\n"):
        if not line.startswith((b" ", b"\t")):
            yield line.partition(b":")[0].rstrip().lower().decode("ascii", "replace")


def _copies(message: Message, copies: Sequence[bytes]) -> Iterator[Copy]:
    room = MOST_SHOWN_BYTES
    for index, octets in enumerate(copies[:MOST_COPIES]):
        room -= len(octets)
        yield Copy(index if message.is_merged else None, len(octets), octets if room >= 0 else None)


def _places(draft: AnyDraft, message: Message) -> dict[str, str]:
    """Return for each domain of recipients where the request names the first of them."""
    is_raw = not isinstance(draft, Draft)
    places: dict[str, str] = {}
    for each in message.recipients:
        places.setdefault(each.domain, "/rcpt_to" if is_raw else f"/{each.field}")
    return places


def _alignment(seen: _Seen, prospect: Prospect) -> Alignment:
    message = seen.message
    return Alignment(
        author=_domain(message.author),
        signers=seen.signers,
        return_path=_domain(message.return_path(0)),
        dmarc=dmarc_of(prospect.dmarc) if prospect.dmarc else None,
        is_known=prospect.dmarc is not None,
    )


def _domain(address: str) -> str:
    return address.rpartition("@")[2]
