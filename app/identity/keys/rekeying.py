"""Re-keying: everything encrypted under former secrets is encrypted anew under the current one, so that they may
go.

May be stopped at any moment and started again: what is done is told from what is not by the key that sealed it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.identity.keys.agenda import Agenda
from app.identity.keys.keystore import KeyStore


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it has come: domains that were looked at, and keys that were encrypted anew."""

    domains: int
    keys: int


async def rekey(store: KeyStore, agenda: Agenda, tell: Callable[[Progress], None]) -> Progress:
    """Encrypt all keys of all projects under the current secret, and `tell` now and then how far it is.

    Raises VaultClosed for what no secret opens, before anything is changed of that domain.
    """
    await store.require_secret()
    cursor, done = 0, Progress(0, 0)
    while True:
        cursor, owners = await agenda.scan(cursor)
        for owner in owners:
            changed = await store.reseal(owner.project, owner.domain)
            done = Progress(done.domains + 1, done.keys + changed)
        tell(done)
        if cursor == 0:
            break
    await store.reseal_mark()
    return done
