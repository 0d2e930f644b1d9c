"""TLS between mail servers: opportunistic, that is, better than plain text and never a reason not to send."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable

_PLAIN_FOR_SECONDS = 3600.0
_MOST_ADDRESSES = 10_000


def opportunistic_context() -> ssl.SSLContext:
    """Return a context that takes any certificate (RFC 7435), from TLS 1.2 on (RFC 8996).

    Build it once: it costs as much as some hundred mails.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class PlainAddresses:
    """Addresses whose STARTTLS lately failed, so that they are met in plain text for an hour.

    Without this each mail to such a host would cost a failed handshake.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def remember(self, address: str) -> None:
        """Meet this address in plain text from now on, for a while."""
        while len(self._until) >= _MOST_ADDRESSES:
            del self._until[next(iter(self._until))]
        self._until[address] = self._clock() + _PLAIN_FOR_SECONDS

    def __contains__(self, address: str) -> bool:
        until = self._until.get(address)
        if until is None or self._clock() < until:
            return until is not None
        del self._until[address]
        return False
