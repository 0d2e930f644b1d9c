"""Settling under random orders of success, lost answers, crashes, takeovers and what zombies say afterwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from app.events import EventType
from app.ids import MessageId, new_drain_id
from app.messages import TRANSITIONS, RecipientState, Status, Stream
from app.spool.replies import as_bytes, as_int, as_list, as_text
from app.spool.workers.claims import MailClaim, MailLane
from app.spool.workers.lanes import Closing, Fenced, Settled, Settlement
from tests.app.spool.machine import LEASE, SpoolMachine, members
from tests.app.spool.parts import pass_time
from tests.fakes.letters import PROJECT, Letter, keep, queued

DOMAINS = ("one.example", "two.example")
LANES = tuple(MailLane(PROJECT, Stream.TRANSACTIONAL, domain) for domain in DOMAINS)
FACTS = (Status.DELIVERED, Status.BOUNCED, Status.DEFERRED, None)
"""What may become of a recipient; None puts it back without a trace."""
FINAL = {status for status in Status if not TRANSITIONS[status]}


def settlements(held: MailClaim, fates: list[Status | None]) -> list[Settlement]:
    """Return what becomes of the recipients of a claim; the fates repeat where there are too few."""
    return [
        _settlement(held, index, state, fates[place % len(fates)])
        for place, (index, state) in enumerate(zip(held.indexes, held.states, strict=True))
    ]


def _settlement(
    held: MailClaim, index: int, state: RecipientState, fate: Status | None
) -> Settlement:
    if fate is None:
        return Settlement(state, timedelta(0), None)
    event = replace(queued(held.message)[index], type=EventType(f"message.{fate}"))
    wait = None if fate in FINAL else timedelta(0)
    return Settlement(replace(state, status=fate), wait, event)


class SettleMachine(SpoolMachine):
    """Workers that carry, repeat, crash and come back, over two lanes."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.facts: dict[tuple[MessageId, int], list[Status]] = {}
        self.letters: dict[MessageId, Letter] = {}
        self.busy: list[MailClaim] = []
        self.zombies: list[MailClaim] = []

    @rule(
        to=st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=4),
        is_merged=st.booleans(),
        has_paths=st.booleans(),
    )
    def mail_comes(self, to: list[str], is_merged: bool, has_paths: bool) -> None:
        addresses = tuple(f"user{n}@{domain}" for n, domain in enumerate(to))
        letter = Letter(to=addresses, is_merged=is_merged, has_paths=has_paths)
        message, _ = self.do(keep(self.spool.store, letter))
        self.facts |= {(message.id, index): [] for index in range(len(to))}
        self.letters[message.id] = letter

    @rule(lane=st.sampled_from(LANES), is_repeated=st.booleans())
    def drain_begins(self, lane: MailLane, is_repeated: bool) -> None:
        drain = new_drain_id()
        held = self.do(self.spool.lanes.begin(lane, drain))
        if is_repeated:
            assert self.do(self.spool.lanes.begin(lane, drain)) == held
        if isinstance(held, MailClaim):
            self.begins_with(held)

    @precondition(lambda self: self.busy)
    @rule(
        which=st.integers(0),
        fates=st.lists(st.sampled_from(FACTS), min_size=1, max_size=3),
        goes_on=st.booleans(),
        is_repeated=st.booleans(),
    )
    def worker_settles(
        self, which: int, fates: list[Status | None], goes_on: bool, is_repeated: bool
    ) -> None:
        held = self.busy.pop(which % len(self.busy))
        settled = self.settle(held, fates, goes_on)
        if is_repeated and settled.next_claim:
            self.repeat(held, settled)
        if isinstance(settled.next_claim, MailClaim):
            self.begins_with(settled.next_claim)

    @precondition(lambda self: self.busy)
    @rule(which=st.integers(0), fates=st.lists(st.sampled_from(FACTS), min_size=1, max_size=3))
    def drain_ends_and_says_so_twice(self, which: int, fates: list[Status | None]) -> None:
        held = self.busy.pop(which % len(self.busy))
        self.settle(held, fates, goes_on=False)
        self.is_refused(held)

    @precondition(lambda self: self.busy)
    @rule(which=st.integers(0))
    def worker_is_lost(self, which: int) -> None:
        self.zombies.append(self.busy.pop(which % len(self.busy)))

    @precondition(lambda self: self.zombies)
    @rule(which=st.integers(0))
    def zombie_settles_before_anybody_took_over(self, which: int) -> None:
        self.settle(self.zombies.pop(which % len(self.zombies)), [Status.DELIVERED], goes_on=False)

    @rule(settles=st.booleans())
    def clock_takes_over(self, settles: bool) -> None:
        """Take over what was lost; the clock itself may be lost before it settles."""
        self.do(pass_time(self.spool.redis, LEASE / 2))
        self.do(self.spool.lanes.renew([held.drain for held in self.busy]))
        self.do(pass_time(self.spool.redis, LEASE / 2 + timedelta(seconds=1)))
        taken = self.do(self.spool.lanes.take_over([new_drain_id() for _ in range(20)]))
        assert len(taken) == len(self.zombies)
        for zombie in self.zombies:
            self.is_refused(zombie)
        self.zombies = [held for held in taken if isinstance(held, MailClaim)]
        while settles and self.zombies:
            self.settle(self.zombies.pop(), [None, Status.DEFERRED], goes_on=False)

    @invariant()
    def each_open_recipient_is_in_one_place_and_each_ended_one_in_none(self) -> None:
        places = Counter(self.do(self.places()))
        open_ones = [f"{id}/{index}" for (id, index), told in self.facts.items() if not ended(told)]
        assert places == Counter(open_ones)

    @invariant()
    def messages_count_what_is_open_and_tell_it_in_order(self) -> None:
        for message in {message for message, _ in self.facts}:
            told = [facts for (id, _), facts in self.facts.items() if id == message]
            assert self.do(self.open_count(message)) == sum(not ended(facts) for facts in told)
            events = self.do(self.spool.store.events(PROJECT, message))
            expected = len(told) + sum(map(len, told))
            assert [event.sequence for event in events] == list(range(1, expected + 1))

    @invariant()
    def bytes_are_kept_for_those_who_still_want_them_and_for_no_others(self) -> None:
        for message, letter in self.letters.items():
            places = range(len(letter.to))
            wanted = [index for index in places if not ended(self.facts[message, index])]
            own = {f"raw{index}": letter.copies[index] for index in wanted if letter.is_merged}
            common = {"raw": letter.content} if wanted and not letter.is_merged else {}
            assert self.do(self.raw_of(message)) == own | common

    def teardown(self) -> None:
        """See that all that was accepted ends, once."""
        self.clock_takes_over(settles=True)
        for held in self.busy:
            self.settle(held, [Status.DELIVERED], goes_on=False)
        for lane in LANES:
            claim = self.do(self.spool.lanes.begin(lane, new_drain_id()))
            while isinstance(claim, MailClaim):
                claim = self.settle(claim, [Status.DELIVERED], goes_on=True).next_claim
        assert not self.do(self.places())
        assert all(ended(facts) for facts in self.facts.values())
        super().teardown()

    def begins_with(self, held: MailClaim) -> None:
        """Carry a claim: its recipients are the ones that its bytes are for, and have one return path."""
        letter = self.letters[held.message.id]
        expected = letter.copies if letter.is_merged else letter.copies * len(letter.to)
        assert {expected[index] for index in held.indexes} == {held.raw}
        assert len({held.message.return_path(index) for index in held.indexes}) == 1
        self.busy.append(held)

    def settle(self, held: MailClaim, fates: list[Status | None], goes_on: bool) -> Settled:
        settling = self.spool.lanes.settle(held, settlements(held, fates), Closing(goes_on))
        settled = self.do(settling)
        for place, index in enumerate(held.indexes):
            fate = fates[place % len(fates)]
            told = self.facts[held.message.id, index]
            assert not ended(told)
            told += [fate] if fate else []
        return settled

    def repeat(self, held: MailClaim, first: Settled) -> None:
        """Settle again, as after a lost answer, and even otherwise than before: it must change nothing."""
        again = settlements(held, [Status.BOUNCED])
        settled = self.do(self.spool.lanes.settle(held, again, Closing(True)))
        assert settled.next_claim == first.next_claim

    def is_refused(self, held: MailClaim) -> None:
        try:
            self.do(
                self.spool.lanes.settle(held, settlements(held, [Status.BOUNCED]), Closing(False))
            )
        except Fenced:
            return
        raise AssertionError("a claim was settled by a drain that does not hold it")

    async def places(self) -> list[str]:
        redis = self.spool.redis
        found = [
            each for lane in LANES for each in await members(redis, redis.keys.due + lane.name)
        ]
        for drain in await members(redis, redis.keys.leases):
            held = await redis.call("HGET", redis.keys.drain + drain, "members")
            found += as_text(held or b"").split()
        return found

    async def raw_of(self, message: MessageId) -> dict[str, bytes]:
        redis = self.spool.redis
        stored = as_list(await redis.call("HGETALL", redis.keys.message + message))
        pairs = zip(map(as_text, stored[::2]), map(as_bytes, stored[1::2]), strict=True)
        return {name: value for name, value in pairs if name.startswith("raw")}

    async def open_count(self, message: MessageId) -> int:
        return as_int(
            await self.spool.redis.call("HGET", self.spool.redis.keys.message + message, "open")
        )


def ended(facts: list[Status]) -> bool:
    """Tell whether the last fact about a recipient is final."""
    return bool(facts) and facts[-1] in FINAL


def test_each_recipient_ends_once_whatever_becomes_of_its_workers(valkey_url: str) -> None:
    class Machine(SettleMachine):
        def __init__(self) -> None:
            super().__init__(valkey_url)

    chosen = settings(max_examples=20, stateful_step_count=30, deadline=None)
    run_state_machine_as_test(Machine, settings=chosen)
