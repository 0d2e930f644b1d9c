"""Answers about DKIM keys. None of them has a secret."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.api.answers.model import AnswerModel, Time
from app.identity.keys.dkimkeys import DomainKey, Keys, KeyState
from app.mail.dkim import Algorithm


class KeyRecordOut(AnswerModel):
    """The DNS record of a key."""

    name: str = Field(examples=["pb3001-x7k2qa-rsa._domainkey.shop.example"])
    type: Literal["TXT"] = "TXT"
    value: str = Field(
        examples=["v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]
    )


class KeyOut(AnswerModel):
    """A DKIM key of a domain."""

    selector: str = Field(examples=["pb3001-x7k2qa-rsa"])
    algorithm: Algorithm
    state: KeyState = Field(
        description="`pending`: publish its record, and it signs once that is found. `active`: it signs. "
        "`retiring`: it signs no more; keep its record until `retire_at`, since mail that it signed is under way. "
        "`retired`: its record may go. `revoked`: it was ended at once; publish the record without a key."
    )
    imported: bool = Field(description="It was not made here.")
    created_at: Time
    active_from: Time | None = Field(description="Since when it signs.")
    retire_at: Time | None = Field(description="Until when its record must stay.")
    revoked_at: Time | None
    record: KeyRecordOut

    @classmethod
    def of(cls, key: DomainKey, domain: str, now: datetime) -> KeyOut:
        """Return the answer that shows `key` as it is `now`."""
        name = f"{key.selector}._domainkey.{domain}"
        return cls(
            selector=key.selector,
            algorithm=key.algorithm,
            state=key.state(now),
            imported=key.is_imported,
            created_at=key.created_at,
            active_from=key.active_from,
            retire_at=key.retire_at,
            revoked_at=key.revoked_at,
            record=KeyRecordOut(name=name, value=key.published()),
        )


class KeyList(AnswerModel):
    """DKIM keys of a domain, oldest first."""

    data: list[KeyOut]

    @classmethod
    def of(cls, keys: Keys, domain: str, now: datetime) -> KeyList:
        """Return the answer that lists `keys`."""
        return cls(data=[KeyOut.of(key, domain, now) for key in keys])
