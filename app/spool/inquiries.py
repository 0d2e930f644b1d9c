"""Questions of the API that only a worker can answer, since only workers speak to the outside.

A job of arq carries the question: names, no content. Whichever worker takes it writes the answer to
`inquiry:<id>`, where whoever asked looks for some seconds. Both may be lost: whoever asks must not depend on an
answer.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from app.ids import InquiryId, new_inquiry_id
from app.spool.client import Redis
from app.spool.jobs import Alarm
from app.spool.replies import as_bytes

_KEPT_S = 60
_FIRST_LOOK_S, _LOOK_S = 0.02, 0.2


class Inquiries:
    """Asks and answers. All methods but `ask` raise SpoolError when Redis cannot answer."""

    def __init__(self, redis: Redis, alarm: Alarm) -> None:
        """Use the connections of `redis`; `alarm` brings questions to workers."""
        self._redis = redis
        self._alarm = alarm

    async def ask(self, kind: str, *names: str, patience: timedelta) -> bytes | None:
        """Ask a worker, and return its answer; None where none comes in time. Raises SpoolError."""
        inquiry = new_inquiry_id()
        await self._alarm.inquire(inquiry, kind, *names)
        until, pause = time.monotonic() + patience.total_seconds(), _FIRST_LOOK_S
        while time.monotonic() < until:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LOOK_S)
            answer = await self._redis.call("GET", self._redis.keys.inquiry + inquiry)
            if answer is not None:
                return as_bytes(answer)
        return None

    async def answer(self, inquiry: InquiryId, answer: bytes) -> None:
        """Let whoever asked find the answer, for a minute."""
        await self._redis.call("SET", self._redis.keys.inquiry + inquiry, answer, "EX", _KEPT_S)
