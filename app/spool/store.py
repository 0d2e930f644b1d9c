"""Messages in Redis: kept whole in one atomic step, read back by their project only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.errors import IdempotencyConflict, NotFound, SpoolError, SpoolUnavailable
from app.events import AttemptRecord, Event, EventType
from app.ids import MessageId, ProjectId
from app.mail.sameness import normal_form
from app.messages import (
    Letter,
    Message,
    MessageView,
    Receipt,
    RecipientState,
    Suppression,
)
from app.settings import RetentionSettings
from app.spool.client import Argument, Redis, Reply
from app.spool.codec import (
    ATTEMPT,
    EVENT,
    MESSAGE,
    RECEIPT,
    SHARING_MESSAGE,
    STATE,
    SUPPRESSION,
)
from app.spool.replies import as_bytes, as_int, as_list, as_text
from app.spool.scripts import Scripts
from app.spool.workers.claims import MailLane
from app.spool.workers.reports import INSTALLATION


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A key that the caller chose for one request, and the digest of that request's body."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Keeping:
    """A message to keep, once for its idempotency key."""

    letter: Letter
    idempotency: Idempotency | None


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer of the atomic step: the receipt, or the first one's again, and the lanes to wake."""

    receipt: Receipt
    wakes: tuple[str, ...]


@dataclass(slots=True)
class _Trial:
    """A message on its way into Redis, and what the atomic step said that has to be known before."""

    letter: Letter
    suppressed: dict[int, Suppression] = field(default_factory=dict)
    lacks_parts: bool = False

    @property
    def receipt(self) -> Receipt:
        message = self.letter.message
        suppressed = tuple(sorted(self.suppressed))
        return Receipt(message.id, message.recipients, message.created_at, suppressed=suppressed)

    def learns(self, reply: Reply | SpoolError) -> bool:
        """Tell whether the step is to be repeated. Hardly any is, and each time more is known: so it ends."""
        match reply:
            case [b"suppressed", *found]:
                self.suppressed |= _suppressions(found)
            case [b"unshared"] if not self.lacks_parts:
                self.lacks_parts = True
            case _:
                return False
        return True


class Store:
    """What Redis keeps of messages. All methods raise SpoolError when Redis cannot answer."""

    def __init__(self, redis: Redis, scripts: Scripts, retention: RetentionSettings) -> None:
        """Use the connections of `redis`."""
        self._redis = redis
        self._scripts = scripts
        self._remember_s = round(retention.idempotency.total_seconds())
        self._retention_s = round(retention.settled.total_seconds())

    async def keep(self, letter: Letter, idempotency: Idempotency | None) -> Kept:
        """Put a message with its bytes on the wire and its first events into its lanes.

        When this returns it is on disk, and with as many replicas as the settings want. Recipients that are
        suppressed enter no lane and end at once. Raises IdempotencyConflict where the key belongs to another
        payload; then nothing is kept.
        """
        trial = _Trial(letter)
        while trial.learns(
            reply := await self._redis.keep(
                self._scripts.accept, *self._arguments(trial, idempotency)
            )
        ):
            await self._share([trial])
        return _kept(trial.receipt, reply)

    async def keep_all(
        self, wanted: Sequence[Keeping]
    ) -> list[Kept | IdempotencyConflict | SpoolError]:
        """Do the same for messages of one project, with one write to the disk; return what became of each."""
        trials = [_Trial(each.letter) for each in wanted]
        found: dict[int, Kept | IdempotencyConflict | SpoolError] = {}
        while places := [place for place in range(len(wanted)) if place not in found]:
            try:
                replies = await self._redis.keep_all(
                    self._scripts.accept,
                    [self._arguments(trials[place], wanted[place].idempotency) for place in places],
                )
                for place, reply in zip(places, replies, strict=True):
                    if not trials[place].learns(reply):
                        found[place] = _kept_or_not(trials[place].receipt, reply)
                await self._share([trials[place] for place in places if place not in found])
            except SpoolError as error:
                found = dict.fromkeys(range(len(wanted)), error) | found
        return [found[place] for place in range(len(wanted))]

    async def _share(self, trials: Sequence[_Trial]) -> None:
        """Keep the parts that messages of one project lack."""
        parts = {
            part.name: part for trial in trials if trial.lacks_parts for part in trial.letter.shared
        }
        for part in parts.values():
            project = trials[0].letter.message.project
            await self._redis.run(self._scripts.share, project, part.name, part.octets)

    def _arguments(self, trial: _Trial, idempotency: Idempotency | None) -> list[Argument]:
        """Return what the atomic step is told."""
        letter = trial.letter
        arguments = self._envelope(letter, trial.receipt, idempotency)
        for index in range(len(letter.message.recipients)):
            arguments += _recipient(letter, index, trial.suppressed.get(index))
        return arguments

    def _envelope(
        self, letter: Letter, receipt: Receipt, idempotency: Idempotency | None
    ) -> list[Argument]:
        """Return what the atomic step is told of the message as a whole."""
        message, form = letter.message, SHARING_MESSAGE if letter.shared else MESSAGE
        arguments: list[Argument] = [message.project, message.id]
        arguments += [idempotency.key, idempotency.fingerprint] if idempotency else ["", b""]
        arguments += [self._remember_s, RECEIPT.encode(receipt), form.encode(message)]
        return [
            *arguments,
            letter.common,
            _milliseconds(message.expires_at),
            _milliseconds(message.late_at) if message.late_at else "",
            _told_kind(message),
            self._retention_s,
            int(message.is_reported),
            " ".join(part.name for part in letter.shared),
            int(message.goes_one_by_one),
        ]

    async def first_receipt(
        self, project: ProjectId, idempotency: Idempotency | None
    ) -> Receipt | None:
        """Return the receipt that this key and payload got before, None where there is none."""
        if idempotency is None:
            return None
        memory = f"{self._redis.keys.idempotency}{project}:{idempotency.key}"
        stored = await self._redis.call("HMGET", memory, "fingerprint", "receipt")
        match as_list(stored):
            case [idempotency.fingerprint, bytes(first)]:
                return _replayed(first)
            case _:
                return None

    async def view(self, project: ProjectId, message: MessageId) -> MessageView:
        """Return a message and where its recipients stand. Raises NotFound, for foreign ids too."""
        found = await self._message(project, message)
        states = await self._fields(message, "r", range(len(found.recipients)))
        return MessageView(found, tuple(STATE.decode(as_bytes(state)) for state in states))

    async def events(self, project: ProjectId, message: MessageId) -> tuple[Event, ...]:
        """Return all facts about a message, in their order. Raises NotFound, for foreign ids too."""
        await self._message(project, message)
        numbers = range(1, await self._counter(message, "seq") + 1)
        records = await self._fields(message, "e", numbers)
        return tuple(
            Event(n, EVENT.decode(as_bytes(record)))
            for n, record in zip(numbers, records, strict=True)
        )

    async def attempts(self, project: ProjectId, message: MessageId) -> tuple[AttemptRecord, ...]:
        """Return all tries of a message, in their order. Raises NotFound, for foreign ids too."""
        await self._message(project, message)
        tries = await self._fields(
            message, "a", range(1, await self._counter(message, "tries") + 1)
        )
        return tuple(ATTEMPT.decode(as_bytes(record)) for record in tries)

    async def _message(self, project: ProjectId, message: MessageId) -> Message:
        stored = await self._redis.call("HGET", self._redis.keys.message + message, "m")
        found = MESSAGE.decode(as_bytes(stored)) if stored else None
        if found is None or found.project != project:
            raise NotFound(f"there is no message {message} in this project")
        return found

    async def _counter(self, message: MessageId, name: str) -> int:
        return as_int(await self._redis.call("HGET", self._redis.keys.message + message, name) or 0)

    async def _fields(self, message: MessageId, letter: str, numbers: range) -> list[Reply]:
        if not numbers:
            return []
        names = [f"{letter}{n}" for n in numbers]
        return as_list(await self._redis.call("HMGET", self._redis.keys.message + message, *names))


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _told_kind(message: Message) -> str:
    """Return the type of the first events for the endpoints; empty where none is told."""
    return "" if message.reports_on else EventType.QUEUED


def _recipient(letter: Letter, index: int, suppression: Suppression | None) -> list[Argument]:
    """Return what the atomic step is told of the recipient at `index`, as `lua/accept.lua` wants it."""
    message, copy = letter.message, letter.own(index)
    recipient, now = message.recipients[index], message.created_at
    if suppression:
        end = suppression.state()
        told = message.event(index, EventType.SUPPRESSED, now, end.last)
        return ["", STATE.encode(end), EVENT.encode(told), copy, ""]
    lane = MailLane(message.project, message.stream, recipient.domain)
    state = STATE.encode(RecipientState(due_at=now))
    event = EVENT.encode(message.event(index, EventType.QUEUED, now))
    address = normal_form(recipient.address) if _is_letter(message) else ""
    return [lane.name, state, event, copy, address]


def _is_letter(message: Message) -> bool:
    """Tell whether a project wrote it: to who asked for reports, their suppression says nothing of those."""
    return message.reports_on is None and message.project != INSTALLATION


def _suppressions(found: Sequence[Reply]) -> dict[int, Suppression]:
    return {
        index: SUPPRESSION.decode(as_bytes(record)) for index, record in enumerate(found) if record
    }


def _kept_or_not(
    receipt: Receipt, reply: Reply | SpoolError
) -> Kept | IdempotencyConflict | SpoolError:
    if isinstance(reply, SpoolError):
        return reply
    try:
        return _kept(receipt, reply)
    except (IdempotencyConflict, SpoolError) as error:
        return error


def _kept(receipt: Receipt, reply: Reply) -> Kept:
    match as_list(reply):
        case [b"accepted", *wakes]:
            return Kept(receipt, tuple(as_text(lane) for lane in wakes))
        case [b"replayed", first]:
            return Kept(_replayed(as_bytes(first)), ())
        case [b"unshared"]:
            raise SpoolUnavailable("a part that the message shares was lost while it was kept")
        case _:
            raise IdempotencyConflict(
                "this Idempotency-Key was used with another body; use a new key for a new message"
            )


def _replayed(stored: bytes) -> Receipt:
    return replace(RECEIPT.decode(stored), replayed=True)
