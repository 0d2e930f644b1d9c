"""What holds of sites for any numbers: the published feedback, and the turns of projects."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.ids import ProjectId, new_drain_id
from app.spool.replies import as_list, as_text
from app.spool.workers.claims import MailClaim, MailLane, parse_lane
from app.spool.workers.lanes import Closing, Settlement, Site
from tests.app.spool.conftest import Spool
from tests.app.spool.parts import FREE, claim, pass_time, put_back
from tests.fakes.letters import Letter, keep

REST = timedelta(seconds=60)
PROPERTY = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@dataclass
class Feedback:
    """The published algorithm: a window, and the failures in a row as parts of it."""

    first: int
    most: int
    window: int
    cohorts: float = 0

    def note(self, worked: bool, busy: int) -> bool:
        """Note what a mail came to while `busy` drains were inside; tell whether the site is dead."""
        if worked:
            self.cohorts = 0
            self.window = min(self.window + (self.window < busy + self.first), self.most)
            return False
        self.cohorts += 1 / self.window
        if self.cohorts < 1 - 1e-9:
            self.window = max(self.window - 1, 1)
            return False
        self.window, self.cohorts = self.first, 0
        return True


@PROPERTY
@given(
    first=st.integers(1, 6),
    wider=st.integers(0, 6),
    others=st.integers(0, 5),
    ends=st.lists(st.booleans(), min_size=1, max_size=30),
)
async def test_the_window_follows_the_published_feedback_and_a_dead_site_recovers_after_its_rest(
    spool: Spool, first: int, wider: int, others: int, ends: list[bool]
) -> None:
    await spool.redis.call("FLUSHALL")
    site = Site("mx.example.org", first, first + wider, REST)
    model = Feedback(first, first + wider, first)
    held, *_ = [await claim(spool, f"domain{number}.example") for number in range(others + 1)]
    entered = [(await spool.lanes.enter(each, site)).wait == FREE for each in (held, *_)]
    in_a_row: list[int] = []
    for worked in ends:
        await keep(spool.store, Letter(to=(f"ann@{held.lane.domain}",)))
        window = model.window
        is_dead = model.note(worked, sum(entered))
        in_a_row = [] if worked else [*in_a_row, window]
        settled = await settle(spool, held, worked)
        assert await window_of(spool, site) == model.window
        assert (settled is None) == is_dead
        held = settled or await after_the_rest(spool, site, held.lane)
        if is_dead:
            assert len(in_a_row) <= in_a_row[0]
            in_a_row = []


async def settle(spool: Spool, held: MailClaim, worked: bool) -> MailClaim | None:
    done = [Settlement(state, None, None) for state in held.states]
    following = await spool.lanes.settle(held, done, Closing(True, site_worked=worked))
    return following.next_claim if isinstance(following.next_claim, MailClaim) else None


async def after_the_rest(spool: Spool, site: Site, lane: MailLane) -> MailClaim:
    """See that a dead site lets nobody in before its rest is over, and the lane then."""
    early = await spool.lanes.begin(lane, new_drain_id())
    assert isinstance(early, MailClaim)
    assert (await spool.lanes.enter(early, site)).wait > FREE
    await put_back(spool, early)
    await pass_time(spool.redis, REST)
    assert lane.name in (await spool.lanes.wake(100))[0]
    held = await spool.lanes.begin(lane, new_drain_id())
    assert isinstance(held, MailClaim)
    assert (await spool.lanes.enter(held, site)).wait == FREE
    return held


async def window_of(spool: Spool, site: Site) -> int:
    key = spool.redis.keys.site + site.name
    window, first = as_list(await spool.redis.call("HMGET", key, "window", "first"))
    return int(float(as_text(window or first)))


@PROPERTY
@given(lanes=st.lists(st.integers(1, 4), min_size=2, max_size=4), turns=st.integers(1, 25))
async def test_no_project_gets_more_than_its_share_of_turns_while_others_wait(
    spool: Spool, lanes: list[int], turns: int
) -> None:
    await spool.redis.call("FLUSHALL")
    alarms: deque[str] = deque()
    for project, number in enumerate(lanes):
        for domain in range(number):
            letter = Letter((f"ann@domain{domain}.example",), ProjectId(f"project{project}"))
            for _ in range(turns + 1):
                alarms.extend((await keep(spool.store, letter))[1].wakes)
    crowd = Crowd(spool, Site("mx.example.org", 1, 1, REST))
    await crowd.answer(alarms)
    counts: Counter[ProjectId] = Counter()
    for _ in range(turns):
        assert crowd.inside
        counts[crowd.inside.lane.project] += 1
        await crowd.leave()
    shares = [counts[ProjectId(f"project{project}")] for project in range(len(lanes))]
    assert max(shares) - min(shares) <= 1


@dataclass
class Crowd:
    """Drains of many lanes for one place."""

    spool: Spool
    site: Site
    inside: MailClaim | None = None

    async def answer(self, alarms: deque[str]) -> None:
        """Start a drain for each alarm; all but one find no place."""
        while alarms:
            held = await self.spool.lanes.begin(parse_lane(alarms.popleft()), new_drain_id())
            if not isinstance(held, MailClaim):
                continue
            entered = await self.spool.lanes.enter(held, self.site)
            alarms.extend(entered.wakes)
            if entered.wait > FREE:
                alarms.extend(await put_back(self.spool, held))
            else:
                assert self.inside is None
                self.inside = held

    async def leave(self) -> None:
        """Carry the mail, leave, and let the next one in."""
        assert self.inside
        held, self.inside = self.inside, None
        done = [Settlement(state, None, None) for state in held.states]
        settled = await self.spool.lanes.settle(held, done, Closing(False))
        await self.answer(deque(settled.wakes))
