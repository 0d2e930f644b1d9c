"""One mail over an open session, and what became of each recipient (RFC 5321 §3.3).

With pipelining (RFC 2920) all commands up to DATA leave in one write and the replies are read in
their order; without it each command waits for the reply to the one before. The steps are the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.events import Category
from app.mail.reply import Reply
from app.networks import is_ipv6
from worker.outcomes.classify import Phase, classify
from worker.outcomes.outcome import Outcome, Verdict
from worker.smtp.dialogue import BLOCK_BYTES
from worker.smtp.envelope import Envelope
from worker.smtp.session import Session
from worker.smtp.timeouts import Timeouts
from worker.smtp.trouble import Trouble

_ABOUT_THE_SENDER = frozenset({Category.AUTHENTICATION, Category.POLICY, Category.REPUTATION})
_LEADING_DOT = re.compile(rb"\n[.]")


class Guard(Protocol):
    """Tells whether we may still send this mail: the claim may be lost by now."""

    def stands(self) -> bool:
        """Tell whether the mail is still ours. Asked right before MAIL FROM."""
        ...

    async def may_end(self, addresses: Sequence[str], /) -> bool:
        """Tell whether the final dot may be sent for these recipients. Asked right before it."""
        ...


class Next(StrEnum):
    """What may still be done for a recipient in this attempt."""

    NOTHING = "nothing"
    """The outcome is what the attempt came to."""
    ELSEWHERE = "elsewhere"
    """Another host may do better."""
    HERE = "here"
    """A further transaction of this session may take it (RFC 5321 §4.5.3.1.10)."""


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a recipient, and what may be done about it."""

    outcome: Outcome
    next: Next = Next.NOTHING


async def transact(
    session: Session, envelope: Envelope, guard: Guard, timeouts: Timeouts
) -> tuple[Result, ...]:
    """Send one mail; return a result for each recipient, in their order.

    On cancellation nothing more is sent, unless the final dot is: then its reply is waited for, and
    returned as if there had been no cancellation.
    """
    transaction = _Transaction(session, envelope, guard, timeouts)
    try:
        await transaction.run()
    except Trouble as trouble:
        session.dialogue.abort()
        transaction.give_up(trouble)
    return transaction.results()


class _Transaction:
    def __init__(
        self, session: Session, envelope: Envelope, guard: Guard, timeouts: Timeouts
    ) -> None:
        self._session = session
        self._envelope = envelope
        self._guard = guard
        self._timeouts = timeouts
        self._dialogue = session.dialogue
        self._is_pipelined = session.features.pipelining
        self._results: list[Result | None] = [None] * len(envelope.recipients)
        self._taken: Sequence[int] = self._speakable()[: session.features.most_recipients]
        self._needs_utf8 = envelope.needs_utf8()
        self._accepted: list[int] = []

    def results(self) -> tuple[Result, ...]:
        return tuple([result for result in self._results if result is not None])

    def fill(self, result: Result) -> None:
        """Give this result to all that have none yet."""
        self._results = [old or result for old in self._results]

    def give_up(self, trouble: Trouble) -> None:
        """End without a verdict on those that have none yet.

        Where pipelined replies turn out not to be those to our commands, no verdict of them can be trusted.
        """
        if trouble.category is Category.PROTOCOL and self._is_pipelined:
            self._results = [None] * len(self._results)
        self.fill(Result(trouble.unreached(self._session.peer), Next.ELSEWHERE))

    async def run(self) -> None:
        if lack := self._lack():
            # Another host of the domain may have what this one lacks.
            unfit = self._outcome(Verdict.BOUNCED, Category.CONTENT, lack)
            self.fill(Result(unfit, Next.ELSEWHERE))
            return
        self._set_aside()
        if not self._taken:
            return
        await self._reset()
        if not self._guard.stands():
            self._interrupt()
            return
        self._session.mails += 1
        if await self._address():
            await self._deliver()
        self._sort_rest()

    def _lack(self) -> str:
        """Say what the message needs that this host does not offer; "" if nothing.

        The message is signed, so it cannot be made to fit (RFC 1870 §6.2, RFC 6152 §3, RFC 6531 §3.2).
        """
        features, host, envelope = self._session.features, self._session.peer.host, self._envelope
        size, most = len(envelope.message), self._session.features.most_bytes
        if most is not None and size > most:
            return f"5.3.4 the message has {size} bytes, and {host} takes at most {most}"
        if not features.utf8 and self._needs_utf8:
            return f"5.6.7 an address in it is not ASCII, and {host} does not offer SMTPUTF8"
        if not features.eight_bits and envelope.has_eight_bits():
            return f"5.6.3 the message has 8-bit bytes, and {host} does not offer 8BITMIME"
        return ""

    def _speakable(self) -> Sequence[int]:
        """Return the recipients that can be named to this host."""
        has_utf8 = self._session.features.utf8
        addresses = enumerate(self._envelope.recipients)
        return [index for index, each in addresses if has_utf8 or each.isascii()]

    def _set_aside(self) -> None:
        """Give those that cannot be named their result: it must cost nobody else the mail."""
        host = self._session.peer.host
        text = f"5.6.7 the address is not ASCII, and {host} does not offer SMTPUTF8"
        unfit = Result(self._outcome(Verdict.BOUNCED, Category.CONTENT, text), Next.ELSEWHERE)
        speakable = set(self._speakable())
        self._results = [None if n in speakable else unfit for n in range(len(self._results))]

    def _names_utf8(self) -> bool:
        return not all(self._envelope.recipients[index].isascii() for index in self._taken)

    def _interrupt(self) -> None:
        self._dialogue.abort()
        text = "our claim on the message ended before it was sent"
        self.fill(Result(self._outcome(Verdict.INTERRUPTED, Category.LOCAL, text)))

    async def _address(self) -> bool:
        """Name sender and recipients; tell whether the other side now wants the message for any of them."""
        commands = self._commands()
        if self._is_pipelined:
            self._dialogue.send(commands)
        has_sender = await self._name_sender(commands[0])
        if has_sender or self._is_pipelined:
            for index, command in zip(self._taken, commands[1:], strict=False):
                await self._name_recipient(index, command)
        if self._accepted:
            return await self._ask_for_data()
        if self._is_pipelined:
            await self._leave_data()
        else:
            self._session.needs_reset = has_sender
        return False

    def _commands(self) -> list[str]:
        envelope, dsn = self._envelope, self._session.features.dsn
        return [
            f"MAIL FROM:<{envelope.mail_from}>{self._parameters()}",
            *[
                f"RCPT TO:<{envelope.recipients[index]}>"
                f"{envelope.recipient_parameters(index) if dsn else ''}"
                for index in self._taken
            ],
            "DATA",
        ]

    def _parameters(self) -> str:
        """Return what MAIL FROM says of the message: nothing that was not offered or is not needed."""
        features, envelope = self._session.features, self._envelope
        size = f" SIZE={len(envelope.message)}" if features.size else ""
        body = " BODY=8BITMIME" if envelope.has_eight_bits() else ""
        utf8 = " SMTPUTF8" if self._needs_utf8 or self._names_utf8() else ""
        # RFC 8689 §4.2.1: only under a policy that demands it, which the session was opened to fulfil.
        require = " REQUIRETLS" if self._session.host.policy.requires_extension else ""
        dsn = envelope.sender_parameters() if features.dsn else ""
        return f"{size}{body}{utf8}{require}{dsn}"

    async def _reset(self) -> None:
        if self._session.needs_reset:
            self._dialogue.send(("RSET",))
            reply = await self._dialogue.reply(self._timeouts.quit)
            if reply.code // 100 != 2:
                raise Trouble.from_reply("RSET was refused", reply, Phase.EHLO)
            self._session.needs_reset = False

    async def _name_sender(self, command: str) -> bool:
        reply = await self._ask(command, self._timeouts.mail)
        if reply.code // 100 == 2:
            return True
        result = self._judged(reply, Phase.MAIL)
        if result.outcome.verdict is Verdict.DEFERRED:
            # Nothing was said of a recipient yet, and another host may be in a better mood.
            result = Result(result.outcome, Next.ELSEWHERE)
        self.fill(result)
        return False

    async def _name_recipient(self, index: int, command: str) -> None:
        reply = await self._ask(command, self._timeouts.rcpt)
        if self._results[index] is not None:
            # The sender was refused, and what is said here only follows from that.
            if reply.code // 100 == 2:
                text = "a recipient was accepted though the sender was refused"
                raise Trouble(text, category=Category.PROTOCOL)
            return
        if reply.code // 100 == 2:
            self._accepted.append(index)
            return
        result = self._judged(reply, Phase.RCPT)
        if reply.code in {452, 552}:
            result = Result(result.outcome, Next.HERE)
        self._results[index] = result

    async def _ask_for_data(self) -> bool:
        reply = await self._ask("DATA", self._timeouts.data)
        if reply.code == 354:
            return True
        self._session.needs_reset = True
        self._give_accepted(self._judged(reply, Phase.DATA))
        return False

    async def _leave_data(self) -> None:
        """Get out of a DATA that was sent before it was known that nobody is accepted (RFC 2920 §3.1)."""
        reply = await self._dialogue.reply(self._timeouts.data)
        if reply.code == 354:
            await self._dialogue.send_end(b"", self._timeouts.dot)
        else:
            self._session.needs_reset = True

    async def _deliver(self) -> None:
        stuffed = _stuffed(self._envelope.message)
        addresses = [self._envelope.recipients[index] for index in self._accepted]
        try:
            if len(stuffed) > BLOCK_BYTES:
                await self._dialogue.send_body(stuffed, self._timeouts.block)
                stuffed = b""
            self._dialogue.check()
            may_end = await self._guard.may_end(addresses)
            # It may have taken the guard a while to say so; what ended meanwhile did so before the dot.
            self._dialogue.check()
        except Trouble as trouble:
            # A refusal in the middle of the message is the verdict on it.
            if trouble.reply is None or trouble.reply.code < 400 or trouble.reply.code == 421:
                raise
            self._give_accepted(self._judged(trouble.reply, Phase.DATA))
            return
        if may_end:
            self._give_accepted(await self._end(stuffed))
        else:
            self._interrupt()

    async def _end(self, rest: bytes) -> Result:
        """Send the final dot. From here on, silence means that the mail may have been taken.

        A message of one block goes along with it: that saves a packet, and the guard was asked just now.
        """
        try:
            reply = await self._dialogue.send_end(rest, self._timeouts.dot)
        except Trouble as trouble:
            return Result(trouble.in_doubt(self._session.peer))
        if reply.code // 100 == 3 or self._is_contradicted(reply):
            contradiction = Trouble("no clear answer", category=Category.PROTOCOL, reply=reply)
            return Result(contradiction.in_doubt(self._session.peer))
        return self._judged(reply, Phase.DOT)

    def _is_contradicted(self, reply: Reply) -> bool:
        """Tell whether a second reply came that may be the true one; 421 only closes the session."""
        surplus = self._dialogue.surplus
        return (
            surplus is not None and surplus.code != 421 and surplus.code // 100 != reply.code // 100
        )

    def _sort_rest(self) -> None:
        """Say what becomes of those there was no room for (RFC 5321 §4.5.3.1.10, RFC 9422 §3.2)."""
        if not self._accepted:
            self._results = [
                Result(old.outcome) if old and old.next is Next.HERE else old
                for old in self._results
            ]
        if None in self._results:
            text = "more recipients than the other side takes at once"
            self.fill(Result(self._outcome(Verdict.UNREACHED, Category.POLICY, text), Next.HERE))

    def _give_accepted(self, result: Result) -> None:
        for index in self._accepted:
            self._results[index] = result

    async def _ask(self, command: str, seconds: float) -> Reply:
        if not self._is_pipelined:
            self._dialogue.send((command,))
        return await self._dialogue.reply(seconds)

    def _judged(self, reply: Reply, phase: Phase) -> Result:
        """Return the verdict of a reply. Raises Trouble for one that is out of place."""
        judgement = classify(reply, phase)
        if reply.code == 421:
            raise Trouble.closing(reply)
        if judgement.verdict is Verdict.UNREACHED:
            raise Trouble.from_reply(f"{reply.code} is no answer to {phase.upper()}", reply, phase)
        outcome = Outcome(
            judgement.verdict,
            judgement.category,
            reply,
            "",
            self._session.peer,
            is_shared=phase in {Phase.DATA, Phase.DOT} and len(self._accepted) > 1,
        )
        return Result(outcome, Next.ELSEWHERE if self._wants_ipv4(outcome) else Next.NOTHING)

    def _wants_ipv4(self, outcome: Outcome) -> bool:
        """Tell whether it may be our IPv6 address that is refused, not the mail: IPv4 may do (RFC 7372 §3.3)."""
        code = outcome.reply.enhanced if outcome.reply else None
        is_about_us = outcome.category in _ABOUT_THE_SENDER and ".7." in (code or "")
        return is_about_us and is_ipv6(self._session.peer.address)

    def _outcome(self, verdict: Verdict, category: Category, text: str) -> Outcome:
        return Outcome(verdict, category, None, text, self._session.peer)


def _stuffed(message: bytes) -> bytes:
    """Double each dot at the start of a line (RFC 5321 §4.5.2), and make sure the last line is ended."""
    if not message.endswith(b"\r\n"):
        message += b"\r\n"
    # A search for one byte and then another is many times as fast as bytes.replace on long lines.
    if _LEADING_DOT.search(message):
        message = _LEADING_DOT.sub(b"\n..", message)
    return b"." + message if message.startswith(b".") else message
