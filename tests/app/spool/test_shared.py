"""Parts that messages share: kept once, whole in each claim, and gone with the last message that has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from app import messages
from app.ids import MessageId, ProjectId, new_drain_id
from app.mail.mime.transfer import SharedBody, encode_shared
from app.messages import Message, Stream
from app.spool.client import Redis
from app.spool.replies import as_bytes, as_int, as_list
from app.spool.store import Keeping
from app.spool.workers.claims import MailClaim, MailLane
from tests.app.spool.conftest import Spool
from tests.app.spool.parts import end, pass_time, put_back
from tests.app.spool.test_settle_machine import DOMAINS, SettleMachine
from tests.fakes.letters import PROJECT, Letter

PARTS = tuple(encode_shared(octets * 30_000) for octets in (b"a", b"\0b"))
LANE = MailLane(PROJECT, Stream.TRANSACTIONAL, "example.org")
LINGER_MS = 60_000


def letter(parts: Sequence[SharedBody], said: Letter | None = None) -> messages.Letter:
    """Return a message whose bytes have these parts, one of them twice."""
    said = said or Letter()
    raw = b"".join(b"--\r\n\r\n\0%b\0\r\n" % part.name.encode() for part in (*parts, *parts[:1]))
    copies = tuple(copy + raw for copy in said.copies)
    return messages.Letter(said.message(), copies, tuple(parts))


def whole(parts: Sequence[SharedBody], copy: bytes = Letter().content) -> bytes:
    """Return the bytes that a worker has to see of it."""
    return copy + b"".join(b"--\r\n\r\n%b\r\n" % part.octets for part in (*parts, *parts[:1]))


async def keep(spool: Spool, parts: Sequence[SharedBody], said: Letter | None = None) -> Message:
    written = letter(parts, said)
    await spool.store.keep(written, None)
    return written.message


async def begin(spool: Spool) -> MailClaim:
    claim = await spool.lanes.begin(LANE, new_drain_id())
    assert isinstance(claim, MailClaim)
    return claim


async def left_ms(redis: Redis, part: SharedBody) -> int:
    """Return how long a part stays if nothing happens; -2 where it is gone."""
    return as_int(await redis.call("PTTL", f"{redis.keys.shared}{PROJECT}:{part.name}"))


async def soon_is_now(redis: Redis) -> None:
    """Let go what is on its way out."""
    for key in as_list(await redis.call("KEYS", f"{redis.keys.shared}*")):
        if as_int(await redis.call("PTTL", as_bytes(key))) <= LINGER_MS:
            await redis.call("DEL", as_bytes(key))


async def test_a_worker_sees_whole_bytes(spool: Spool) -> None:
    await keep(spool, PARTS)
    assert (await begin(spool)).raw == whole(PARTS)


async def test_a_part_is_kept_once_and_for_each_message(spool: Spool) -> None:
    kept = await spool.store.keep_all([Keeping(letter(PARTS), None) for _ in range(5)])
    assert len(kept) == 5
    assert len(as_list(await spool.redis.call("KEYS", f"{spool.redis.keys.shared}*"))) == 2
    for _ in range(5):
        assert (await begin(spool)).raw == whole(PARTS)
        await spool.redis.call("DEL", spool.redis.keys.drains + LANE.name)


async def test_a_part_stays_while_one_message_may_need_it_and_then_goes(spool: Spool) -> None:
    for _ in range(2):
        await keep(spool, PARTS[:1])
    await end(spool, await begin(spool))
    await soon_is_now(spool.redis)
    last = await begin(spool)
    assert last.raw == whole(PARTS[:1])
    await put_back(spool, last)
    assert await left_ms(spool.redis, PARTS[0]) > LINGER_MS
    await end(spool, await begin(spool))
    assert 0 < await left_ms(spool.redis, PARTS[0]) <= LINGER_MS


async def test_a_part_outlives_the_time_of_every_message(spool: Spool) -> None:
    for lives in (timedelta(days=3), timedelta(hours=1)):
        await keep(spool, PARTS[:1], Letter(lives=lives))
    left = timedelta(milliseconds=await left_ms(spool.redis, PARTS[0]))
    assert timedelta(days=3) < left < timedelta(days=5)


async def test_a_part_that_was_about_to_go_is_there_for_the_next_message(spool: Spool) -> None:
    await keep(spool, PARTS[:1])
    await end(spool, await begin(spool))
    await keep(spool, PARTS[:1])
    await soon_is_now(spool.redis)
    assert (await begin(spool)).raw == whole(PARTS[:1])


async def test_a_claim_that_is_repeated_or_taken_over_finds_the_part(spool: Spool) -> None:
    await keep(spool, PARTS)
    drain = new_drain_id()
    first = await spool.lanes.begin(LANE, drain)
    assert await spool.lanes.begin(LANE, drain) == first
    await pass_time(spool.redis, spool.length)
    (taken,) = await spool.lanes.take_over([new_drain_id()])
    assert isinstance(taken, MailClaim)
    await put_back(spool, taken)
    assert (await begin(spool)).raw == whole(PARTS)


async def test_parts_of_projects_do_not_meet(spool: Spool) -> None:
    await keep(spool, PARTS)
    other = letter(PARTS, Letter(project=ProjectId("other")))
    await spool.store.keep(other, None)
    assert len(as_list(await spool.redis.call("KEYS", f"{spool.redis.keys.shared}*"))) == 4


async def test_a_message_whose_part_is_gone_is_over_and_is_not_sent_without_it(
    spool: Spool,
) -> None:
    await keep(spool, PARTS)
    for key in as_list(await spool.redis.call("KEYS", f"{spool.redis.keys.shared}*")):
        await spool.redis.call("DEL", as_bytes(key))
    claim = await begin(spool)
    assert claim.raw == b""
    assert claim.is_overdue(datetime.now(UTC))


async def test_programs_that_know_nothing_of_parts_leave_the_message_alone(spool: Spool) -> None:
    sharing, other = await keep(spool, PARTS), await keep(spool, ())
    forms = [
        as_bytes(await spool.redis.call("HGET", spool.redis.keys.message + each.id, "m"))[:1]
        for each in (sharing, other)
    ]
    assert forms == [b"\x03", b"\x01"]
    assert (await spool.store.view(PROJECT, sharing.id)).message == sharing


async def test_nuls_of_a_message_that_shares_nothing_are_left_alone(spool: Spool) -> None:
    said = Letter(content=b"Subject: x\r\n\r\nA\0b\0c\r\n")
    await spool.store.keep(messages.Letter(said.message(), (said.content,)), None)
    assert (await begin(spool)).raw == said.content


class SharingMachine(SettleMachine):
    """The same workers, with mail whose parts are shared."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.parts: dict[MessageId, tuple[SharedBody, ...]] = {}
        self.said: dict[MessageId, Letter] = {}

    @rule(
        to=st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=3),
        parts=st.sets(st.sampled_from(PARTS)),
        count=st.integers(1, 3),
        is_merged=st.booleans(),
    )
    def mails_come(
        self, to: list[str], parts: set[SharedBody], count: int, is_merged: bool
    ) -> None:
        addresses = tuple(f"user{n}@{domain}" for n, domain in enumerate(to))
        said = Letter(to=addresses, is_merged=is_merged)
        wanted = [letter(tuple(parts), said) for _ in range(count)]
        self.do(self.spool.store.keep_all([Keeping(each, None) for each in wanted]))
        for each in wanted:
            self.parts[each.message.id] = tuple(parts)
            self.said[each.message.id] = said
            self.facts |= {(each.message.id, index): [] for index in range(len(to))}

    @rule()
    def what_nobody_has_goes(self) -> None:
        self.do(soon_is_now(self.spool.redis))

    @invariant()
    def parts_stay_for_those_that_are_open_and_for_no_others(self) -> None:
        for part in PARTS:
            left = self.do(left_ms(self.spool.redis, part))
            assert (left > LINGER_MS) == any(
                part in parts and self.do(self.open_count(message))
                for message, parts in self.parts.items()
            )

    def begins_with(self, held: MailClaim) -> None:
        """Carry a claim: its bytes are whole."""
        said = self.said.get(held.message.id)
        if said is None:
            super().begins_with(held)
            return
        copies = said.copies if said.is_merged else said.copies * len(said.to)
        parts = self.parts[held.message.id]
        assert {whole(parts, copies[index]) for index in held.indexes} == {held.raw}
        self.busy.append(held)


def test_no_message_loses_its_part_whatever_becomes_of_its_workers(valkey_url: str) -> None:
    class Machine(SharingMachine):
        def __init__(self) -> None:
            super().__init__(valkey_url)

    chosen = settings(max_examples=20, stateful_step_count=30, deadline=None)
    run_state_machine_as_test(Machine, settings=chosen)
