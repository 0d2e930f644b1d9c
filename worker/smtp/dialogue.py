"""The protocol on an open session: commands out, replies in, one reply for each command.

It takes over the transport that `session` opened, and pipelines (RFC 2920). Anything that breaks the
pairing of commands and replies ends the session, since a stray reply that is taken for the one to the
final dot would lose mail.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from app.events import Category
from app.mail.reply import Reply
from worker.smtp.replies import ReplyReader
from worker.smtp.transcript import Transcript
from worker.smtp.trouble import Trouble

BLOCK_BYTES = 64 * 1024
"""How much of a message is written at a time."""


class Dialogue(asyncio.Protocol):
    """Commands and replies over one transport. `closed` is done when the connection is gone.

    The first failure sticks: replies that came before it can still be read, then it is raised again.
    """

    def __init__(self, transport: asyncio.Transport, reader: ReplyReader) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._reader = reader
        self._replies: deque[Reply] = deque()
        self._owed = 0
        self._waiter: asyncio.Future[None] | None = None
        self._is_paused = False
        self._failure: Trouble | None = None
        self._farewell: asyncio.TimerHandle | None = None
        self.surplus: Reply | None = None
        self.closed: asyncio.Future[None] = self._loop.create_future()
        transport.set_protocol(self)

    @property
    def is_usable(self) -> bool:
        """Tell whether a transaction may start on this session."""
        return self._failure is None and self._owed == 0

    def note_in(self, transcript: Transcript) -> None:
        """Note what follows in another attempt's transcript."""
        self._reader.transcript = transcript

    def check(self) -> None:
        """Raise the trouble if there was any."""
        if self._failure:
            raise self._failure.with_traceback(None)

    def send(self, commands: Sequence[str]) -> None:
        """Write commands in one go; one reply is owed for each. Raises Trouble."""
        self.check()
        self._reader.transcript.sent(commands)
        self._owed += len(commands)
        self._transport.write("".join([f"{command}\r\n" for command in commands]).encode())

    async def reply(self, seconds: float) -> Reply:
        """Return the reply to the oldest unanswered command. Raises Trouble."""
        if self._replies:
            return self._replies.popleft()
        due = self._loop.time() + seconds
        while not self._replies:
            await self._wait(due - self._loop.time(), "no answer came")
        return self._replies.popleft()

    async def send_body(self, stuffed: bytes, seconds: float) -> None:
        """Write a message without its final dot. Raises Trouble if a block does not leave in `seconds`.

        A reply that comes in the middle ends it; the trouble holds that reply.
        """
        for start in range(0, len(stuffed), BLOCK_BYTES):
            self.check()
            self._transport.write(stuffed[start : start + BLOCK_BYTES])
            if self._is_paused:
                await self._wait(seconds, "the other side stopped taking the message")
        self._reader.transcript.sent((f"[{len(stuffed)} bytes of message]",))

    async def send_end(self, rest: bytes, seconds: float) -> Reply:
        """Write what is left of the message and its final dot, in one go, and return the reply.

        A cancellation while waiting is held back until the reply is there or overdue: to leave earlier
        is to send the mail twice (RFC 1047). `asyncio.Task.cancelling` tells the caller afterwards.
        """
        self.check()
        self._reader.transcript.sent((f"[{len(rest)} bytes of message]", ".") if rest else (".",))
        self._owed += 1
        self._transport.write(rest + b".\r\n")
        due = self._loop.time() + seconds
        while True:
            try:
                return await self.reply(due - self._loop.time())
            except asyncio.CancelledError:
                continue

    def part(self, seconds: float) -> None:
        """Say QUIT and close at its reply, or after `seconds`; nobody waits for it (RFC 5321 §4.1.1.10)."""
        if not self.is_usable:
            self.abort()
            return
        self.note_in(Transcript())
        self._farewell = self._loop.call_later(seconds, self._transport.abort)
        self.send(("QUIT",))

    def abort(self) -> None:
        """Close at once and send nothing more."""
        self._fail(Trouble("we closed the session", category=Category.LOCAL))

    def data_received(self, data: bytes) -> None:
        """Take what came; a reply that answers nothing, or is none, ends the session."""
        try:
            for reply in self._reader.feed(data):
                self._take(reply)
        except Trouble as trouble:
            self._fail(trouble)
            return
        if self._owed == 0 and not self._reader.is_between_replies:
            self._fail(Trouble("bytes came that answer no command", category=Category.PROTOCOL))
        if self._replies:
            self._wake()
        if self._farewell:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember why no more will come."""
        if self._farewell:
            self._farewell.cancel()
        reason = f"the connection broke: {exc}" if exc else "the other side closed the connection"
        self._fail(Trouble(reason))
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        """Hold the message back: the other side does not take more now."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Go on with the message."""
        self._is_paused = False
        self._wake()

    def _take(self, reply: Reply) -> None:
        if self._owed:
            self._owed -= 1
            self._replies.append(reply)
            return
        self.surplus = self.surplus or reply
        if reply.code == 421:
            self._fail(Trouble.closing(reply))
        else:
            uncalled = "a reply came to no command"
            self._fail(Trouble(uncalled, category=Category.PROTOCOL, reply=reply))

    async def _wait(self, seconds: float, otherwise: str) -> None:
        """Wait until something happens; a failure, also that of `seconds` gone by, is raised."""
        self.check()
        self._waiter = waiter = self._loop.create_future()
        timer = self._loop.call_later(max(seconds, 0), self._expire, otherwise)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None
        if not self._replies:
            self.check()

    def _expire(self, otherwise: str) -> None:
        self._fail(Trouble(f"{otherwise} in time"))

    def _fail(self, trouble: Trouble) -> None:
        if self._failure is None:
            self._failure = trouble
            self._transport.abort()
        self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)
