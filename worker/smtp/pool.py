"""Sessions that are kept for the next mail to the same host."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from types import TracebackType

from app.settings.delivering import DeliverySettings
from worker.policies.policy import Policy
from worker.routing.hosts import Host
from worker.sites.profiles import Sites
from worker.sites.sources import Source
from worker.smtp.dialogue import Dialogue
from worker.smtp.session import Opener, Session
from worker.smtp.timeouts import Timeouts
from worker.smtp.tls import Tls
from worker.smtp.transcript import Transcript

_Key = tuple[str, str, int, Policy, str | None]


def _key(host: Host, source: Source | None) -> _Key:
    # Shared only by mail under the same policy: what was enough for one may not be for another.
    return host.name, host.address, host.port, host.policy, source.name if source else None


class Pool:
    """Opens sessions, and keeps unused ones by host, policy and source, for `connection_idle`, for as many
    mails as their site allows.

    Leaving its context says QUIT to all that are kept and waits until they are closed.
    """

    def __init__(self, settings: DeliverySettings, sites: Sites, tls: Tls | None = None) -> None:
        """Agree on TLS with `tls`, or as those do who trust the authorities of the system."""
        self._opener = Opener(settings, tls or Tls(), self._leave)
        self._most_kept = settings.connections_kept
        self._idle_seconds = settings.connection_idle.total_seconds()
        self._sites = sites
        self._quit_seconds = Timeouts.of(settings.timeouts).quit
        self._kept: defaultdict[_Key, list[Session]] = defaultdict(list)
        self._ends: dict[Session, asyncio.TimerHandle] = {}
        self._parting: set[Dialogue] = set()

    async def __aenter__(self) -> Pool:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Part from all kept sessions; done when the last connection is closed."""
        for session in tuple(self._ends):
            self._dismiss(session)
        if self._parting:
            await asyncio.wait([dialogue.closed for dialogue in self._parting])

    async def open(
        self, host: Host, transcript: Transcript, source: Source | None = None
    ) -> Session:
        """Open a fresh session. Raises Trouble."""
        return await self._opener.open(host, transcript, source)

    def take(self, host: Host, source: Source | None = None) -> Session | None:
        """Return a kept session with this host from `source`, the one used last; None if there is none."""
        kept = self._kept.get(_key(host, source))
        while kept:
            session = kept[-1]
            self._forget(session)
            if session.dialogue.is_usable:
                return session
        return None

    def give(self, session: Session) -> None:
        """Keep a session that is not used now, or part from it if it can carry no more."""
        if self.is_spent(session):
            self._part(session)
            return
        if len(self._ends) >= self._most_kept:
            self._dismiss(next(iter(self._ends)))
        session.dialogue.note_in(Transcript())
        self._kept[_key(session.host, session.source)].append(session)
        loop = asyncio.get_running_loop()
        self._ends[session] = loop.call_later(self._idle_seconds, self._dismiss, session)

    def is_spent(self, session: Session) -> bool:
        """Tell whether a session can carry no further mail."""
        most = self._sites.connection_mails(session.host.name)
        most = min(most, session.features.most_mails or most)
        return session.mails >= most or not session.dialogue.is_usable

    def _dismiss(self, session: Session) -> None:
        self._forget(session)
        self._part(session)

    def _forget(self, session: Session) -> None:
        self._ends.pop(session).cancel()
        key = _key(session.host, session.source)
        self._kept[key].remove(session)
        if not self._kept[key]:
            del self._kept[key]

    def _part(self, session: Session) -> None:
        self._leave(session.dialogue)

    def _leave(self, dialogue: Dialogue) -> None:
        self._parting.add(dialogue)
        dialogue.closed.add_done_callback(lambda _: self._parting.discard(dialogue))
        dialogue.part(self._quit_seconds)
