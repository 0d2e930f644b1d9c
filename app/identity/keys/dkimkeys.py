"""The DKIM keys of a domain: the stages of their life, and the rules by which they go from one to the next.

Pure: who keeps them is `app.identity.keys.keystore`. The life of a key is told by its dates alone, so that
nothing has to happen for it to go on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from app.errors import FieldError, InvalidRequest, NotFound
from app.mail.dkim import Algorithm

MAX_KEYS = 20
"""Keys of one domain, former ones included."""
REMEMBERED = timedelta(days=30)
"""How long a key that is over stays in the list, which says that its record may go."""
REVOKED_RECORD = "v=DKIM1; p="
"""The record of a key that must not be trusted any more (RFC 6376 §3.6.1)."""


class KeyState(StrEnum):
    """Where a key is in its life."""

    PENDING = "pending"
    """It waits for its record to be published, and signs nothing."""
    ACTIVE = "active"
    """It signs all mail of its domain."""
    RETIRING = "retiring"
    """It signs no more; mail that it signed is under way, so its record must stay."""
    RETIRED = "retired"
    """Its record may be removed."""
    REVOKED = "revoked"
    """It was ended at once; its record should say so."""


@dataclass(frozen=True, slots=True)
class DomainKey:
    """A key of a domain, without its secret.

    `record` is the TXT value to publish at `<selector>._domainkey.<domain>`. Dates say what became of it: signing
    since `active_from`, no longer once it has a `retire_at`, until which its record must stay.
    """

    selector: str
    algorithm: Algorithm
    record: str
    created_at: datetime
    is_imported: bool = False
    active_from: datetime | None = None
    retire_at: datetime | None = None
    revoked_at: datetime | None = None

    def state(self, now: datetime) -> KeyState:
        """Return where it is in its life."""
        if self.revoked_at:
            return KeyState.REVOKED
        if self.retire_at:
            return KeyState.RETIRING if now < self.retire_at else KeyState.RETIRED
        return KeyState.ACTIVE if self.active_from else KeyState.PENDING

    @property
    def is_pending(self) -> bool:
        """Tell whether it waits for its record."""
        return not (self.active_from or self.revoked_at)

    @property
    def is_active(self) -> bool:
        """Tell whether it signs."""
        return bool(self.active_from) and not (self.retire_at or self.revoked_at)

    @property
    def is_usable(self) -> bool:
        """Tell whether it signs or will: the secrets of all others are destroyed."""
        return self.is_pending or self.is_active

    def published(self) -> str:
        """Return the TXT value that its record should have from now on."""
        return REVOKED_RECORD if self.revoked_at else self.record


Keys: TypeAlias = tuple[DomainKey, ...]
"""The keys of one domain of one project, oldest first."""


def confirmed(keys: Keys, found: Collection[str], now: datetime, kept: timedelta) -> Keys:
    """Let pending keys sign whose records were found in DNS, by their selectors.

    They take over from the keys of the same algorithm, whose records must stay for `kept` from now on. So a domain
    whose Ed25519 record is missing goes on signing with the former one, or with RSA alone.
    """
    fresh = {key.selector for key in keys if key.is_pending and key.selector in found}
    replaced = {key.algorithm for key in keys if key.selector in fresh}

    def turned(key: DomainKey) -> DomainKey:
        if key.selector in fresh:
            return replace(key, active_from=now)
        if key.is_active and key.algorithm in replaced:
            return replace(key, retire_at=now + kept)
        return key

    return tuple(map(turned, keys))


def ended(keys: Keys, selector: str, now: datetime, *, even_if_last: bool) -> Keys:
    """Revoke a key at once; one that has signed nothing, or is over already, is forgotten.

    Raises NotFound, or InvalidRequest for the last key that signs unless `even_if_last`.
    """
    key = next((key for key in keys if key.selector == selector), None)
    if key is None:
        raise NotFound(f"there is no key {selector} of this domain in this project")
    others = tuple(other for other in keys if other is not key)
    if key.is_active and not even_if_last and not any(other.is_active for other in others):
        detail = (
            "this is the last key that signs for the domain: rotate first, and revoke it once the new ones "
            "sign; or revoke it all the same with force=true"
        )
        raise InvalidRequest((FieldError("", "last_key", detail),))
    if key.state(now) in {KeyState.ACTIVE, KeyState.RETIRING}:
        return tuple(replace(each, revoked_at=now) if each is key else each for each in keys)
    return others


def remembered(keys: Iterable[DomainKey], now: datetime) -> Keys:
    """Return the keys without those that have been over for so long that nobody asks."""
    return tuple(key for key in keys if now < _forgotten_at(key, now))


def with_room(keys: Keys, new: Keys) -> Keys:
    """Return the keys with new ones. Raises InvalidRequest for a selector that is taken, or too many keys."""
    taken = {key.selector for key in keys} & {key.selector for key in new}
    if taken:
        detail = f"the domain has a key {taken.pop()}: choose another selector, and publish the record there"
        raise InvalidRequest((FieldError("/selector", "selector_taken", detail),))
    if len(keys) + len(new) > MAX_KEYS:
        detail = (
            f"a domain may have {MAX_KEYS} keys, former ones included: delete those that are over"
        )
        raise InvalidRequest((FieldError("", "too_many_keys", detail),))
    return in_order(keys + new)


def awaited(keys: Iterable[DomainKey]) -> Keys:
    """Return the keys of a rotation that is under way: made here, and waiting for their records."""
    return tuple(key for key in keys if key.is_pending and not key.is_imported)


def aging_since(keys: Keys) -> datetime | None:
    """Return when the newest key that signs was made, None while there is nothing to rotate."""
    if awaited(keys):
        return None
    return max((key.created_at for key in keys if key.is_active), default=None)


def in_order(keys: Iterable[DomainKey]) -> Keys:
    """Return keys, oldest first."""
    return tuple(sorted(keys, key=lambda key: (key.created_at, key.selector)))


def _forgotten_at(key: DomainKey, now: datetime) -> datetime:
    over = key.revoked_at or key.retire_at
    return over + REMEMBERED if over else now + REMEMBERED
