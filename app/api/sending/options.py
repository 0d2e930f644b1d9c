"""How a message is carried and told of, whatever it says: the part of a request that every way of sending has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from app.api.fields import (
    AddressText,
    Moment,
    WireModel,
)
from app.api.sending.parts import Metadata, Tags
from app.errors import FieldError
from app.letters.drafts import Options
from app.messages import OnUnknown, Stream, TlsWish
from app.settings import Settings

_YEAR_S = 366 * 24 * 3600


class OptionsForm(WireModel):
    """Labels, and wishes for the way."""

    tags: Tags | None = Field(default=None, description="Labels; events carry them.")
    metadata: Metadata | None = Field(
        default=None,
        description="Your own data, at most 4 KB together; events carry it, mails do not.",
    )
    stream: Annotated[Stream, Field(strict=False)] | None = Field(
        default=None,
        description="`transactional` (where it is missing) for mail that one person waits for, `bulk` for mail "
        "to many: it never holds the other up.",
    )
    on_unknown: Annotated[OnUnknown, Field(strict=False)] | None = Field(
        default=None,
        description="What to do when a message was sent but the receiver's answer was lost: `retry` (where it "
        "is missing) sends it again, and a second copy may arrive; `hold` ends it as `unknown`.",
    )
    tls: Annotated[TlsWish, Field(strict=False)] | None = Field(
        default=None,
        description="How safe the way has to be. `opportunistic` (where it is missing): as safe as the receiver "
        "asks for by DANE or MTA-STS. `verified`: only to hosts with a valid certificate. `require`: only to such "
        "hosts that promise to pass it on like this (REQUIRETLS, RFC 8689). `optional`: rather arrive than be "
        "safe (`TLS-Required: No`).",
    )
    report_to: AddressText | None = Field(
        default=None,
        description="Address that gets a delivery report (RFC 3464) by mail when a recipient fails, and once when "
        "some are late (still under way after four hours, or what the operator set). "
        "It learns of recipients in `bcc` only if it is no other "
        "recipient's address.",
    )
    expires_in: Annotated[int, Field(ge=1, le=_YEAR_S)] | None = Field(
        default=None, description="Seconds after which delivery is given up. Not with `expires_at`."
    )
    expires_at: Moment | None = Field(
        default=None, description="When delivery is given up. Not with `expires_in`."
    )

    def to_options(self, now: datetime) -> Options:
        """Return the domain's value."""
        return Options(
            tags=tuple(self.tags or ()),
            metadata=self.metadata or {},
            stream=self.stream or Stream.TRANSACTIONAL,
            on_unknown=self.on_unknown or OnUnknown.RETRY,
            tls=self.tls or TlsWish.OPPORTUNISTIC,
            report_to=self.report_to,
            expires_at=_expires_at(self, now),
        )

    def refused_options(self, now: datetime, settings: Settings) -> Iterator[FieldError]:
        """Yield what the fields only show together, or beside the settings."""
        if self.expires_in is not None and self.expires_at is not None:
            yield FieldError("/expires_at", "excluded", "give either expires_in or expires_at")
        longest = settings.delivery.max_expires_after
        if (self.expires_in or 0) > longest.total_seconds():
            seconds = round(longest.total_seconds())
            yield FieldError("/expires_in", "out_of_range", f"must be at most {seconds} seconds")
        if self.expires_at is not None and not now < self.expires_at <= now + longest:
            detail = f"must lie in the future, at most {longest.days} days ahead"
            yield FieldError("/expires_at", "out_of_range", detail)


def _expires_at(form: OptionsForm, now: datetime) -> datetime | None:
    if form.expires_in is not None:
        return now + timedelta(seconds=form.expires_in)
    return form.expires_at
