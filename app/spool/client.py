"""The wall to the Redis library: connections, scripts, and foreign errors translated once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TypeAlias

from redis import asyncio as redis_asyncio
from redis import exceptions

from app.errors import SpoolError, SpoolFull, SpoolUnavailable
from app.settings import RedisSettings
from app.spool.keyspace import Keyspace

Argument: TypeAlias = str | bytes | int | float
Reply: TypeAlias = "bytes | int | list[Reply] | None"
Replies: TypeAlias = "list[Reply | exceptions.RedisError]"

_CANCEL_AGAIN_S = 0.1
_FULL = ("OOM", "MISCONF", "READONLY")
_AWAY = ("LOADING", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "BUSY")


def translate(error: Exception) -> SpoolError | None:
    """Return what a Redis error means here, or None if it is a fault of ours."""
    # We watch no keys; arq does, and handles all but the loss of the connection that watches.
    lost = exceptions.ConnectionError | exceptions.TimeoutError | exceptions.WatchError | OSError
    if isinstance(error, lost):
        return SpoolUnavailable(f"Redis does not answer: {error}")
    text = f"{type(error).__name__} {error}"
    if isinstance(error, exceptions.ReadOnlyError | exceptions.OutOfMemoryError) or any(
        word in text for word in _FULL
    ):
        return SpoolFull(f"Redis takes no writes: {error}")
    if any(word in text for word in _AWAY):
        return SpoolUnavailable(f"Redis is not ready: {error}")
    return None


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task that speaks to Redis for ever, until it has ended.

    The Redis library's own time limits can swallow a cancellation that comes at a bad moment; the task
    would go on, and whoever waits for it with it.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_AGAIN_S)


@dataclass(frozen=True, slots=True)
class Replication:
    """How many replicas must have what may not be lost, and how long they may take (ms)."""

    replicas: int = 0
    patience_ms: int = 0


class Script:
    """One atomic step: a Lua text with what it builds on, known to Redis by its digest."""

    def __init__(self, text: str) -> None:
        """Keep the whole text."""
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    @cache
    def of_file(cls, package: str, name: str, keys: Keyspace) -> Script:
        """Return the step that `lua/<name>.lua` of a package is, with the names of all keys in front."""
        text = (files(package) / "lua" / f"{name}.lua").read_text()
        return cls(f"{keys.as_lua()}\n{text}")


class Redis:
    """One process' connections to Redis. All methods raise SpoolError when Redis cannot answer."""

    def __init__(
        self, pool: redis_asyncio.ConnectionPool, keys: Keyspace, replication: Replication
    ) -> None:
        """Use the connections of `pool`; `keys` names what is kept."""
        self._replication = replication
        self.pool = pool
        self.keys = keys
        self._client = redis_asyncio.Redis(connection_pool=pool)
        # Replies come as Redis gave them; the library would turn some into forms of its own.
        self._client.response_callbacks.clear()

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: RedisSettings) -> AsyncIterator[Redis]:
        """Open lazily, close at the end; Redis need not be there yet."""
        seconds = settings.timeout.total_seconds()
        pool = redis_asyncio.BlockingConnectionPool.from_url(
            settings.url,
            max_connections=settings.connections,
            timeout=seconds,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
        )
        try:
            replication = Replication(settings.replicas, round(seconds * 500))
            yield cls(pool, Keyspace.of(settings.prefix), replication)
        finally:
            await pool.disconnect()

    async def call(self, *command: Argument) -> Reply:
        """Run one command and return its raw reply."""
        try:
            reply: Reply = await self._client.execute_command(  # type: ignore[no-untyped-call]  # redis-py
                *command
            )
        except (exceptions.RedisError, OSError) as error:
            raise translate(error) or error from error
        return reply

    async def run(self, script: Script, *arguments: Argument) -> Reply:
        """Run one atomic step; Redis learns the script when it does not know it yet."""
        try:
            return await self.call("EVALSHA", script.digest, 0, *arguments)
        except exceptions.NoScriptError:
            return await self.call("EVAL", script.text, 0, *arguments)

    async def keep(self, script: Script, *arguments: Argument) -> Reply:
        """Run one atomic step that writes, and return once as many replicas have it as the settings want.

        Raises SpoolUnavailable where they do not in time; the primary has it all the same.
        """
        if not self._replication.replicas:
            return await self.run(script, *arguments)
        try:
            return await self._replicated_one("EVALSHA", script.digest, 0, *arguments)
        except exceptions.NoScriptError:
            return await self._replicated_one("EVAL", script.text, 0, *arguments)

    async def keep_all(
        self, script: Script, runs: Sequence[Sequence[Argument]]
    ) -> list[Reply | SpoolError]:
        """Run one atomic step for each of these arguments: all in one round trip and one write to the disk.

        Returns the reply of each, or why Redis refused it. Raises as `keep` does; then it is not known of any.
        """
        commands = [("EVALSHA", script.digest, 0, *arguments) for arguments in runs]
        replies = await self._together(commands)
        if any(isinstance(reply, exceptions.NoScriptError) for reply in replies):
            await self.call("SCRIPT", "LOAD", script.text)
            replies = await self._together(commands)
        return [_reply_or_refusal(reply) for reply in replies]

    async def _together(self, commands: Sequence[Sequence[Argument]]) -> Replies:
        """Run all of them or none (MULTI), so that the disk is waited for once."""
        queued = await self._replicated(("MULTI",), *commands, ("EXEC",))
        refusals = [reply for reply in queued if isinstance(reply, exceptions.RedisError)]
        if refusals:
            raise translate(refusals[0]) or refusals[0]
        match queued[-1]:
            case list() as replies:
                return [*replies]
            case reply:
                raise TypeError(f"Redis gave {type(reply).__name__} for a transaction")

    async def _replicated_one(self, *command: Argument) -> Reply:
        reply = (await self._replicated(command))[0]
        if isinstance(reply, exceptions.RedisError):
            raise translate(reply) or reply
        return reply

    async def _replicated(self, *commands: Sequence[Argument]) -> Replies:
        """Run commands and wait for replicas, on one connection: WAIT looks at the writes of its own."""
        wanted = self._replication
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        if wanted.replicas:
            pipeline.execute_command("WAIT", wanted.replicas, wanted.patience_ms)
        try:
            # What the library would raise by itself quotes the whole command.
            replies: Replies = await pipeline.execute(raise_on_error=False)
        except (exceptions.RedisError, OSError) as error:
            raise translate(error) or error from error
        if wanted.replicas:
            _check_replicas(replies.pop(), wanted.replicas)
        return replies


def _check_replicas(found: Reply | exceptions.RedisError, wanted: int) -> None:
    if isinstance(found, exceptions.RedisError):
        raise translate(found) or found
    if not isinstance(found, int) or found < wanted:
        raise SpoolUnavailable(f"{found!r} of {wanted} replicas have it in time")


def _reply_or_refusal(reply: Reply | exceptions.RedisError) -> Reply | SpoolError:
    if not isinstance(reply, exceptions.RedisError):
        return reply
    refusal = translate(reply)
    if refusal is None:
        raise reply
    return refusal
