"""The ledger of `make chaos`: what was accepted, what the receivers got and what the events say, held together."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.wire import Json
from tests.fakes.deployment import Deployment, breaches, data, delivery, has_ended
from tests.fakes.smtp import Mail, SmtpServer

Place = tuple[str, str]
"""A message's id and one of its addresses."""
History = Sequence[Mapping[str, Json]]
"""The events of one message."""

_ID = re.compile(rb"(?im)^message-id: <([0-9a-f]{32})@")


@dataclass(frozen=True)
class Books:
    """What each side says: the API, the events, and the receivers with all copies and with those they took.

    `held` are the messages that must not come twice (`on_unknown` is `hold`).
    """

    accepted: Mapping[str, Sequence[str]]
    histories: Mapping[str, History]
    copies: Counter[Place]
    taken: Counter[Place]
    held: frozenset[str] = frozenset()

    def places(self) -> set[Place]:
        """Return each message with each of its addresses."""
        return {(message, each) for message, found in self.accepted.items() for each in found}

    def ends(self) -> dict[Place, str]:
        """Return the last thing that was told of each place."""
        return {
            (message, str(data(event)["address"])): str(event["type"]).removeprefix("message.")
            for message, history in self.histories.items()
            for event in history
        }

    def doubts(self) -> set[Place]:
        """Return the places of which a try is told that may have left a copy behind."""
        return {
            (message, str(data(event)["address"]))
            for message, history in self.histories.items()
            for event in history
            if data(event).get("delivery") and delivery(event)["in_doubt"]
        }

    def faults(self) -> dict[str, list[str]]:
        """Return what must not be, by name, with the places it was found at.

        lost: told as delivered, and no receiver took it. unfinished: no end came. not_delivered: ended
        otherwise, though every receiver takes everything in the end. doubled_untold: a second copy that no
        event speaks of. doubled_held: one of a message that must not come twice. strangers: came to
        somebody it was not accepted for. broken_histories: numbers with gaps, or more than one end of a
        recipient.
        """
        ends, doubts, places = self.ends(), self.doubts(), self.places()
        delivered = {place for place, end in ends.items() if end == "delivered"}
        found: dict[str, Iterable[Place]] = {
            "lost": delivered - set(self.taken),
            "unfinished": {place for place in places if ends.get(place) in {None, *_OPEN}},
            "not_delivered": {
                place
                for place in places - delivered - self._in_doubt_for_good(ends)
                if ends.get(place) not in {None, *_OPEN}
            },
            "doubled_untold": {
                place for place, count in self.copies.items() if count > 1 and place not in doubts
            },
            "doubled_held": {
                place for place, count in self.copies.items() if count > 1 and place[0] in self.held
            },
            "strangers": set(self.copies) - places,
        }
        broken = {message: breaches(history) for message, history in self.histories.items()}
        return {
            **{name: [" ".join(place) for place in sorted(at)] for name, at in found.items()},
            "broken_histories": [f"{message}: {what}" for message, what in broken.items() if what],
        }

    def _in_doubt_for_good(self, ends: Mapping[Place, str]) -> set[Place]:
        return {
            place for place in self.doubts() if place[0] in self.held and ends[place] == "unknown"
        }

    def second_copies(self) -> int:
        """Return how many copies there are beyond the first (RFC 1047)."""
        return sum(count - 1 for count in self.copies.values())


_OPEN = frozenset({"queued", "deferred"})


async def close_books(
    pillarbox: Deployment,
    accepted: Mapping[str, Sequence[str]],
    receivers: Sequence[SmtpServer],
    patience_s: float,
) -> Books:
    """Wait until every message has ended, at most for so long, and return what all sides say.

    The books name no message as `held`; who sent them knows.
    """
    until = time.monotonic() + patience_s
    histories = {message: await _ended(pillarbox, message, until) for message in accepted}
    taken = [mail for receiver in receivers for mail in receiver.mails]
    refused = [mail for receiver in receivers for mail in receiver.refused]
    return Books(accepted, histories, _places([*taken, *refused]), _places(taken))


async def _ended(pillarbox: Deployment, message: str, until: float) -> History:
    while True:
        found = (await pillarbox.ask("GET", f"/messages/{message}/events"))["data"]
        assert isinstance(found, list)
        history = [event for event in found if isinstance(event, dict)]
        if has_ended(history) or time.monotonic() > until:
            return history
        await asyncio.sleep(0.2)


def _places(mails: Iterable[Mail]) -> Counter[Place]:
    found = ((_ID.search(mail.content), mail.recipients) for mail in mails)
    return Counter(
        (f"msg_{match[1].decode()}", address)
        for match, addresses in found
        if match
        for address in addresses
    )
