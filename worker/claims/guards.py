"""Who may say that the final dot may be sent: the lease alone, or the lease and a note in Redis.

After the dot nobody can know whether the receiver has the mail until its reply is stored (RFC 1047). A
message that must not come twice has this moment written down first: a claim lost before the note is safe
to try again, one lost after it is told as unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from app.errors import SpoolError
from app.messages import OnUnknown
from app.spool.workers.claims import MailClaim
from app.spool.workers.lanes import Lanes
from worker.claims.leases import Lease
from worker.smtp.transaction import Guard

_log = structlog.get_logger(__name__)


def guard_of(claim: MailClaim, lease: Lease, lanes: Lanes) -> Guard:
    """Return the guard that the claim's message asks for."""
    if claim.message.on_unknown is OnUnknown.HOLD:
        return NotingGuard(claim, lease, lanes)
    return lease


class NotingGuard:
    """Lets nothing be sent whole before it is written down whom it is for."""

    def __init__(self, claim: MailClaim, lease: Lease, lanes: Lanes) -> None:
        """Nobody is in doubt yet."""
        self._claim = claim
        self._lease = lease
        self._lanes = lanes
        self._in_doubt: set[int] = set()

    def stands(self) -> bool:
        """Tell whether the claim is still ours."""
        return self._lease.stands()

    async def may_end(self, addresses: Sequence[str], /) -> bool:
        """Note that these recipients may have the mail soon; tell whether that is stored and the claim ours."""
        recipients = self._claim.message.recipients
        wanted = set(addresses)
        self._in_doubt |= {
            index for index in self._claim.indexes if recipients[index].address in wanted
        }
        try:
            is_noted = await self._lanes.doubt(self._claim, sorted(self._in_doubt))
        except SpoolError as error:
            _log.warning("doubt_not_noted", message=self._claim.message.id, error=error.detail)
            return False
        return is_noted and self._lease.stands()
