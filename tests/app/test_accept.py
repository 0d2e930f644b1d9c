"""What is under way at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from app.accept import Acceptor
from app.identity.keys.keyfolder import KeyFolder
from app.identity.keys.keyring import Keyring
from app.ids import KeyId, ProjectId
from app.letters.drafts import AnyDraft, Draft
from app.letters.library import Library
from app.letters.writer import Writer, Written
from app.mail.address import Mailbox, parse_address
from app.messages import Message
from app.projects.keys import Caller
from app.projects.templates import Templates
from app.settings import Settings
from app.signals.metrics import WorkshopMetrics, new_registry
from app.spool.health import Health
from app.spool.jobs import Alarm, arq_pool
from app.workshop.workshop import Workshop
from tests.app.spool.conftest import Spool, spool, spool_settings
from tests.fakes.identity import free_senders
from tests.fakes.letters import PROJECT

__all__ = ["spool"]

OTHER, THIRD = ProjectId("other"), ProjectId("third")
DRAFT = Draft(
    sender=Mailbox("", parse_address("shop@example.com")),
    to=(Mailbox("", parse_address("ann@example.org")),),
    text="Hello",
)


@dataclass(frozen=True)
class SlowWriter(Writer):
    """Waits a few turns of the loop before it writes, and notes how many are at it."""

    inside: set[str] = field(default_factory=set)
    counts: list[int] = field(default_factory=list)

    async def written(self, draft: AnyDraft, message: Message) -> Written:
        self.inside.add(message.id)
        self.counts.append(len(self.inside))
        for _ in range(20):
            await asyncio.sleep(0)
        written = await super().written(draft, message)
        self.inside.remove(message.id)
        return written


async def most_at_a_time(
    spool: Spool, settings: Settings, draft: Draft, *projects: ProjectId
) -> int:
    workshop = Workshop(settings.workshop, WorkshopMetrics(new_registry()))
    writer = SlowWriter(Keyring(KeyFolder(None)), workshop, settings)
    alarm, health = Alarm(arq_pool(spool.redis)), Health(spool.redis, settings.redis)
    library = Library(Templates(spool.redis, settings.templates), settings.templates.cache)
    senders = free_senders(spool.redis, settings)
    acceptor = Acceptor(spool.store, alarm, health, library, writer, senders, settings)
    callers = [Caller(project, KeyId("key_1"), frozenset()) for project in projects]
    await asyncio.gather(*(acceptor.accept(draft, caller, None) for caller in callers * 12))
    return max(writer.counts)


async def test_few_merges_are_under_way_at_a_time_and_any_number_of_other_messages(
    spool: Spool, valkey_url: str
) -> None:
    settings = spool_settings(valkey_url)
    merge = replace(DRAFT, recipients_data={})
    assert await most_at_a_time(spool, settings, DRAFT, PROJECT) == 12
    assert await most_at_a_time(spool, settings, merge, PROJECT, OTHER, THIRD) == 4


async def test_merges_of_one_project_leave_room_for_those_of_others(
    spool: Spool, valkey_url: str
) -> None:
    merge = replace(DRAFT, recipients_data={})
    assert await most_at_a_time(spool, spool_settings(valkey_url), merge, PROJECT) == 2
