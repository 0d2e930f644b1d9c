"""Remarks on the header: subject, the name in From, and the way to unsubscribe."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from app.letters.drafts import AnyDraft, Draft
from app.mail.address import Mailbox
from app.messages import Stream
from app.rehearsal.remarks import Code, Remark

_LONG = 150
_MANY_LETTERS = 12
_REPLY = re.compile(r"\s*(?:re|aw|sv|antw)\s*:", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>@\"']{1,64}@[^\s<>@\"']{1,255}")
_THREAD = frozenset({"in-reply-to", "references"})
_ONE_CLICK = frozenset({"list-unsubscribe", "list-unsubscribe-post"})


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the request names what is remarked on."""

    subject: str
    unsubscribe: str


_PLACES = _Places("/subject", "/list_unsubscribe")
_RAW_PLACES = _Places("/header/subject", "/header/list-unsubscribe")


def head_remarks(draft: AnyDraft, names: Collection[str]) -> Iterator[Remark]:
    """Yield what is to be said; `names` are the fields of the mail as it is sent, in lower case."""
    is_raw = not isinstance(draft, Draft)
    places = _RAW_PLACES if is_raw else _PLACES
    yield from _on_subject(draft.subject, names, places.subject)
    if isinstance(draft, Draft):
        yield from _on_name(draft.sender, draft.sender_pointer)
    if draft.options.stream is Stream.BULK and not _ONE_CLICK.issubset(names):
        detail = (
            "large receivers put mail to many aside that nobody can unsubscribe from with one click (RFC 8058): "
            'give list_unsubscribe {"hosted": true}, or a url of yours'
        )
        yield Remark(Code.NO_UNSUBSCRIBE, places.unsubscribe, detail)


def _on_subject(subject: str, names: Collection[str], place: str) -> Iterator[Remark]:
    if not subject.strip():
        yield Remark(Code.SUBJECT_EMPTY, place, "there is no subject: say what the mail is about")
    if len(subject) > _LONG:
        detail = f"the subject has {len(subject)} characters, and readers show about 70: shorten it"
        yield Remark(Code.SUBJECT_LONG, place, detail)
    letters = [each for each in subject if each.isalpha()]
    if len(letters) >= _MANY_LETTERS and subject.isupper() and " " in subject.strip():
        detail = "the subject is in capitals, as that of spam is: write it as a sentence"
        yield Remark(Code.SUBJECT_CAPITALS, place, detail)
    if _REPLY.match(subject) and _THREAD.isdisjoint(names):
        detail = (
            "the subject says that this is an answer: name what it answers in `in_reply_to`, "
            "or leave the beginning away"
        )
        yield Remark(Code.SUBJECT_REPLY, place, detail)


def _on_name(sender: Mailbox, place: str) -> Iterator[Remark]:
    found = _ADDRESS.search(sender.name)
    if found and found[0].lower() != str(sender.address).lower():
        detail = (
            f"the name holds {found[0]!a}, which is not the address that sends, as in mail of swindlers: "
            "write a name"
        )
        yield Remark(Code.NAME_IS_ADDRESS, place, detail)
