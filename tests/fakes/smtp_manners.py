"""What a good SMTP server says, for `tests.fakes.smtp`: RFC 5321 as far as clients can tell."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from tests.fakes.smtp_connection import Connection, Mail

Action = Callable[[Connection], Awaitable[None]]
"""What is done instead of the usual answer."""


class House(Protocol):
    """What the conversations of one server share."""

    certificate: ssl.SSLContext | None
    extensions: list[str]
    mails: list[Mail]
    refused: list[Mail]

    def rule(self, step: str, command: str) -> Action | None:
        """Return what a test wants at this step, None for what is usual."""
        ...

    async def happened(self) -> None:
        """Let those who wait for something look again."""
        ...


@dataclass(slots=True)
class _Transaction:
    mail_from: str | None = None
    parameters: str = ""
    recipients: list[str] = field(default_factory=list)


class Conversation:
    """One session, answered as usual save where a rule says otherwise."""

    def __init__(self, house: House, connection: Connection) -> None:
        self._house = house
        self._connection = connection
        self._transaction = _Transaction()

    async def run(self) -> None:
        """Talk until the client leaves, which raises EOFError."""
        await self._answer("GREETING", "", "220 fake.example ESMTP")
        while True:
            command = await self._connection.line()
            await self._house.happened()
            await self._obey(command.partition(" ")[0].upper(), command)

    async def _obey(self, verb: str, command: str) -> None:
        match verb:
            case "EHLO":
                await self._ehlo(command)
            case "STARTTLS":
                await self._starttls(command)
            case "MAIL":
                await self._mail(command)
            case "RCPT":
                await self._rcpt(command)
            case "DATA":
                await self._data(command)
            case "QUIT":
                await self._answer("QUIT", command, "221 2.0.0 Bye")
                raise EOFError
            case "HELO" | "RSET" | "NOOP":
                await self._answer(verb, command, "250 2.0.0 Ok")
                self._transaction = _Transaction()
            case _:
                await self._connection.send("500 5.5.2 Unknown command")

    async def _answer(self, step: str, command: str, usual: str) -> int:
        """Answer by rule or as usual; return the first digit of what was said, 0 for nothing."""
        self._connection.said = b""
        action = self._house.rule(step, command)
        if action is None:
            await self._connection.send(usual)
        else:
            await action(self._connection)
        first = self._connection.said[:1]
        return int(first) if first.isdigit() else 0

    async def _ehlo(self, command: str) -> None:
        offers = ["fake.example", *self._house.extensions]
        if self._house.certificate and not self._connection.session.tls:
            offers.append("STARTTLS")
        *lines, last = offers
        await self._answer(
            "EHLO", command, "".join(f"250-{line}\r\n" for line in lines) + f"250 {last}"
        )
        self._transaction = _Transaction()

    async def _starttls(self, command: str) -> None:
        context = self._house.certificate
        usual = "220 2.0.0 Go ahead" if context else "502 5.5.1 Not offered"
        if await self._answer("STARTTLS", command, usual) == 2 and context:
            await self._connection.start_tls(context)
        self._transaction = _Transaction()

    async def _mail(self, command: str) -> None:
        self._transaction = _Transaction()
        if await self._answer("MAIL", command, "250 2.1.0 Ok") == 2:
            path, *parameters = command.partition(":")[2].split(" ", 1)
            self._transaction = _Transaction(path.strip("<>"), " ".join(parameters))

    async def _rcpt(self, command: str) -> None:
        has_sender = self._transaction.mail_from is not None
        usual = "250 2.1.5 Ok" if has_sender else "503 5.5.1 MAIL first"
        if await self._answer("RCPT", command, usual) == 2 and has_sender:
            path = command.partition(":")[2].partition(" ")[0]
            self._transaction.recipients.append(path.strip("<>"))

    async def _data(self, command: str) -> None:
        usual = "354 End with a dot" if self._transaction.recipients else "503 5.5.1 RCPT first"
        if await self._answer("DATA", command, usual) != 3:
            return
        mail = self._mail_of(await self._connection.message())
        self._transaction = _Transaction()
        is_taken = await self._answer("DOT", "", "250 2.0.0 Taken") == 2
        (self._house.mails if is_taken else self._house.refused).append(mail)
        await self._house.happened()

    def _mail_of(self, wire: bytes) -> Mail:
        lines = wire.split(b"\r\n")
        return Mail(
            mail_from=self._transaction.mail_from or "",
            recipients=tuple(self._transaction.recipients),
            parameters=self._transaction.parameters,
            content=b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines),
            wire=wire,
            tls=self._connection.session.tls,
            session=self._connection.session.number,
        )
