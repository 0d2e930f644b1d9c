"""Sites under random use: many drains enter, work, fail, leave and crash, alarms get lost, time passes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from app.ids import ProjectId, new_drain_id
from app.messages import Stream
from app.spool.replies import as_list, as_text
from app.spool.workers.claims import MailClaim, MailLane, parse_lane
from app.spool.workers.lanes import Closing, Fenced, Settlement, Site
from tests.app.spool.machine import LEASE, SpoolMachine, members
from tests.app.spool.parts import FREE, pass_time
from tests.fakes.letters import Letter, keep

REST = timedelta(seconds=60)
SITES = {
    "free": Site("mx.example.org", 2, 4, REST),
    "narrow": Site("mx.example.org", 1, 1, REST),
    "rated": Site("mx.example.org", 2, 4, REST, interval=timedelta(seconds=3)),
}
LANES = tuple(
    MailLane(ProjectId(project), stream, domain)
    for project in ("a", "b")
    for stream in Stream
    for domain in ("one.example", "two.example")
)
IN_TIME = timedelta(minutes=9)
"""All mail has to go within this: after ten minutes lanes look by themselves, which hides what was forgotten."""


@dataclass(frozen=True)
class View:
    """What Redis knows of a site: who holds its places, who is invited, who waits, how wide it is."""

    drains: frozenset[str]
    invited: frozenset[str]
    waiting: frozenset[str]
    window: int
    rests: bool

    @property
    def taken(self) -> int:
        return len(self.drains) + len(self.invited)


class SiteMachine(SpoolMachine):
    """Drains of eight lanes at one site."""

    def __init__(self, url: str, site: Site) -> None:
        super().__init__(url)
        self.site = site
        self.alarms: list[str] = []
        self.inside: list[MailClaim] = []
        self.crashed: list[MailClaim] = []
        self.before = self.view()

    @rule(lane=st.sampled_from(LANES), mails=st.integers(1, 6))
    def mail_comes(self, lane: MailLane, mails: int) -> None:
        letter = Letter(to=(f"ann@{lane.domain}",), project=lane.project, stream=lane.stream)
        for _ in range(mails):
            self.alarms += self.do(keep(self.spool.store, letter))[1].wakes

    @precondition(lambda self: self.alarms)
    @rule(which=st.integers(0))
    def alarm_rings(self, which: int) -> None:
        self.start(self.alarms.pop(which % len(self.alarms)))

    @rule(lane=st.sampled_from(LANES))
    def alarm_rings_twice(self, lane: MailLane) -> None:
        self.start(lane.name)

    @precondition(lambda self: self.alarms)
    @rule(which=st.integers(0))
    def alarm_is_lost(self, which: int) -> None:
        self.alarms.pop(which % len(self.alarms))

    @precondition(lambda self: self.inside)
    @rule(
        which=st.integers(0), worked=st.sampled_from([True, True, False, None]), stays=st.booleans()
    )
    def drain_settles(self, which: int, worked: bool | None, stays: bool) -> None:
        held = self.inside.pop(which % len(self.inside))
        self.settle(held, Closing(stays and worked is not False, site_worked=worked))

    @precondition(lambda self: self.inside)
    @rule(which=st.integers(0))
    def site_asks_for_rest(self, which: int) -> None:
        held = self.inside.pop(which % len(self.inside))
        self.settle(held, Closing(False, site_worked=True, site_rest=REST))

    @precondition(lambda self: self.inside)
    @rule(which=st.integers(0))
    def lane_has_to_rest(self, which: int) -> None:
        held = self.inside.pop(which % len(self.inside))
        back = [Settlement(state, FREE, None) for state in held.states]
        closing = Closing(False, lane_wait=REST)
        self.alarms += self.do(self.spool.lanes.settle(held, back, closing)).wakes

    @precondition(lambda self: self.inside)
    @rule(which=st.integers(0))
    def worker_crashes(self, which: int) -> None:
        self.crashed.append(self.inside.pop(which % len(self.inside)))

    @precondition(lambda self: self.crashed)
    @rule(which=st.integers(0))
    def zombie_settles(self, which: int) -> None:
        try:
            self.settle(self.crashed.pop(which % len(self.crashed)), Closing(False))
        except Fenced:
            return

    @rule(seconds=st.sampled_from([1, 1, 3, 11, 40, 70]))
    def time_passes(self, seconds: int) -> None:
        self.pass_time(timedelta(seconds=seconds))

    @rule()
    def clock_ticks(self) -> None:
        self.tick()

    @invariant()
    def places_are_given_as_they_should_be(self) -> None:
        before, after = self.before, self.view()
        self.before = after
        assert set(after.drains) == {held.drain for held in (*self.inside, *self.crashed)}
        assert after.taken <= self.site.window
        if after.taken > before.taken:
            assert after.taken <= after.window
            assert not after.rests
        lanes = {held.lane.name for held in self.inside if held.drain not in before.drains}
        given = (after.invited - before.invited) | (lanes - before.invited)
        if any("/bulk/" in name for name in given):
            assert not [n for n in before.waiting & after.waiting if "/transactional/" in n]

    def teardown(self) -> None:
        """See that all mail goes, and soon: nothing that waits was forgotten."""
        passed = timedelta(0)
        while self.do(self.left()):
            while self.alarms:
                self.start(self.alarms.pop())
            for held in [self.inside.pop() for _ in range(len(self.inside))]:
                self.settle(held, Closing(True, site_worked=True))
            self.pass_time(timedelta(seconds=1))
            self.tick()
            passed += timedelta(seconds=1)
            assert passed < IN_TIME
        self.wait_for_what_lapses()
        assert self.do(self.keys()) <= {"message", "site"}
        super().teardown()

    def wait_for_what_lapses(self) -> None:
        """Let alarms and invitations come to nothing, that nobody needs any more."""
        for _ in range(15):
            self.pass_time(timedelta(seconds=1))
            self.tick()

    async def keys(self) -> set[str]:
        """Return the kinds of keys that there are."""
        found = as_list(await self.spool.redis.call("KEYS", "*"))
        return {as_text(key).split(":")[1] for key in found}

    async def left(self) -> int:
        mails = [
            await members(self.spool.redis, self.spool.redis.keys.due + lane.name) for lane in LANES
        ]
        return sum(map(len, mails)) + len(self.inside) + len(self.crashed)

    def start(self, name: str) -> None:
        lanes = self.spool.lanes
        held = self.do(lanes.begin(parse_lane(name), new_drain_id()))
        if not isinstance(held, MailClaim):
            return
        entered = self.do(lanes.enter(held, self.site))
        self.alarms += entered.wakes
        if entered.wait > FREE:
            back = [Settlement(state, FREE, None) for state in held.states]
            self.alarms += self.do(lanes.settle(held, back, Closing(False))).wakes
        else:
            self.inside.append(held)

    def settle(self, held: MailClaim, closing: Closing) -> None:
        done = [Settlement(state, None, None) for state in held.states]
        settled = self.do(self.spool.lanes.settle(held, done, closing))
        self.alarms += settled.wakes
        if isinstance(settled.next_claim, MailClaim):
            self.inside.append(settled.next_claim)

    def pass_time(self, by: timedelta) -> None:
        """Pass time as it does for workers that renew their leases."""
        while by > FREE:
            step = min(by, LEASE / 2)
            self.do(pass_time(self.spool.redis, step))
            self.do(self.spool.lanes.renew([held.drain for held in self.inside]))
            by -= step

    def tick(self) -> None:
        lost = self.do(self.spool.lanes.take_over([new_drain_id() for _ in range(10)]))
        for held in lost:
            assert isinstance(held, MailClaim)
            self.crashed = [each for each in self.crashed if each.message.id != held.message.id]
            back = [Settlement(state, FREE, None) for state in held.states]
            self.alarms += self.do(self.spool.lanes.settle(held, back, Closing(False))).wakes
        self.alarms += self.do(self.spool.lanes.wake(100))[0]

    def view(self) -> View:
        return self.do(self._view())

    async def _view(self) -> View:
        redis, name = self.spool.redis, self.site.name
        slots = await members(redis, redis.keys.slots + name)
        found = as_list(
            await redis.call("HMGET", redis.keys.site + name, "window", "first", "dead_until")
        )
        seconds, _ = as_list(await redis.call("TIME"))
        return View(
            drains=frozenset(slot for slot in slots if not slot.startswith("lane:")),
            invited=frozenset(
                slot.removeprefix("lane:") for slot in slots if slot.startswith("lane:")
            ),
            waiting=frozenset(await members(redis, redis.keys.waiting + name)),
            window=int(float(as_text(found[0] or found[1] or b"0"))),
            rests=float(as_text(found[2] or b"0")) > float(as_text(seconds)) * 1000 + 2000,
        )


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_a_site_keeps_its_window_its_order_and_all_that_waits(valkey_url: str, site: Site) -> None:
    class Machine(SiteMachine):
        def __init__(self) -> None:
            super().__init__(valkey_url, site)

    chosen = settings(max_examples=12, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(Machine, settings=chosen)
