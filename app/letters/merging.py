"""Merging: a draft with variables becomes the mails that its recipients get, one for all or one for each.

In a copy for one recipient no other stands: not in its header, and not among the values that it was made with.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

import orjson

from app.errors import FieldError, InvalidRequest, TooLarge, pointer_step
from app.letters.drafts import Draft, OwnData
from app.letters.templating import Part
from app.letters.values import NO_VARIABLES, Variables
from app.mail.address import Mailbox
from app.mail.characters import forbidden

_MOST_REFUSED = 100
_MOST_SECONDS = 2.0
_SHARED = "/variables"
_NUL = re.compile("\0")
_FAULTS_OF_SOURCES = frozenset(("invalid_template", "template_failed"))
"""Codes of what most likely is the same for all recipients, and may take long to find for each."""
_TOO_SLOW = FieldError(
    "/recipients_data",
    "template_failed",
    "the mails take too long to make: loop over less, or send to fewer recipients at a time",
)


class Filler(Protocol):
    """Puts values into the parts of a mail."""

    def fill(self, sources: Mapping[Part, str], variables: Variables) -> dict[Part, str]:
        """Return each part with its values. Raises InvalidRequest; values are named below `/variables`."""


def mails(
    draft: Draft, filler: Filler, most_bytes: int, clock: Callable[[], float] = time.thread_time
) -> tuple[Draft, ...]:
    """Return the draft as its recipients get it: one for all, or in a merge one for each, in their order.

    Raises InvalidRequest, which names what is wrong for each recipient, and TooLarge where all together have
    more than `most_bytes` to compose. `clock` tells how long the thread has worked (s).
    """
    if not draft.is_merged:
        return (_filled(draft, filler, _SHARED),)
    made: list[Draft] = []
    refused: dict[FieldError, None] = {}
    total, ends = 0, clock() + _MOST_SECONDS
    for place, copy in _copies(draft):
        if clock() > ends:
            raise InvalidRequest((_TOO_SLOW,))
        try:
            made.append(_filled(copy, filler, place))
        except InvalidRequest as error:
            refused |= dict.fromkeys(error.fields)
            if len(refused) >= _MOST_REFUSED or not _FAULTS_OF_SOURCES.isdisjoint(_codes(error)):
                break
        else:
            total = _within(total + made[-1].size_bytes, most_bytes)
    if refused:
        raise InvalidRequest(tuple(refused)[:_MOST_REFUSED])
    return tuple(made)


def _copies(draft: Draft) -> Iterator[tuple[str, Draft]]:
    """Yield for each recipient where its data stands in the request, and the draft for it alone."""
    shared, data = draft.variables or NO_VARIABLES, draft.recipients_data or {}
    boxes: dict[str, Mailbox] = {}
    for box in draft.to:
        boxes.setdefault(str(box.address), box)
    for address, box in boxes.items():
        own = data.get(address, OwnData(address, NO_VARIABLES))
        variables = _overlaid(shared, own.variables)
        copy = replace(draft, to=(box,), recipients_data=None, variables=variables)
        yield f"/recipients_data/{pointer_step(own.written)}", copy


def _overlaid(shared: Variables, own: Variables) -> Variables:
    """Return all of `own`, and what of `shared` has other names."""
    if own == NO_VARIABLES:
        return shared
    return Variables(orjson.dumps({**orjson.loads(shared), **orjson.loads(own)}))


def _filled(draft: Draft, filler: Filler, place: str) -> Draft:
    """Return the draft without variables; `place` is where their values stand in the request."""
    if draft.variables is None:
        return draft
    try:
        parts = filler.fill(dict(_sources(draft)), draft.variables)
    except InvalidRequest as error:
        raise InvalidRequest(tuple(_placed(each, draft, place) for each in error.fields)) from error
    return replace(
        draft,
        subject=parts[Part.SUBJECT],
        text=parts.get(Part.TEXT),
        html=parts.get(Part.HTML),
        amp=parts.get(Part.AMP),
        variables=None,
    )


def _sources(draft: Draft) -> Iterator[tuple[Part, str]]:
    yield Part.SUBJECT, draft.subject
    if draft.text is not None:
        yield Part.TEXT, draft.text
    if draft.html is not None:
        yield Part.HTML, draft.html
    if draft.amp is not None:
        yield Part.AMP, draft.amp


def _placed(error: FieldError, draft: Draft, place: str) -> FieldError:
    """Return an error with the place of the value that it is about, rather than that of the part it came up in."""
    if error.code == "invalid_template":
        return error
    if error.pointer.startswith(_SHARED):
        return replace(error, pointer=place + error.pointer.removeprefix(_SHARED))
    return replace(error, pointer=place + _culprit(error, draft), detail=_in_part(error))


def _codes(error: InvalidRequest) -> Iterator[str]:
    return (field.code for field in error.fields)


def _in_part(error: FieldError) -> str:
    return f"{error.pointer.removeprefix('/')}: {error.detail}"


def _culprit(error: FieldError, draft: Draft) -> str:
    """Return the pointer of the value that brought a character where none may be; "" if unknown."""
    if error.code != "control_character" or draft.variables is None:
        return ""
    part = Part(error.pointer.removeprefix("/"))
    named = set(re.findall(r"\w+", dict(_sources(draft))[part]))
    values = orjson.loads(draft.variables).items()
    is_bad = forbidden if part is Part.SUBJECT else _NUL.search
    return next(_texts({name: value for name, value in values if name in named}, is_bad), "")


def _texts(value: object, is_wanted: Callable[[str], object]) -> Iterator[str]:
    """Yield the pointer of each text in a value that is wanted."""
    match value:
        case str() if is_wanted(value):
            yield ""
        case Mapping():
            for name, part in value.items():
                yield from (f"/{pointer_step(name)}{below}" for below in _texts(part, is_wanted))
        case list():
            for number, part in enumerate(value):
                yield from (f"/{number}{below}" for below in _texts(part, is_wanted))


def _within(total: int, most: int) -> int:
    if total > most:
        raise TooLarge(
            f"all copies of the message together have more than {most} bytes: send to fewer recipients at a time"
        )
    return total
