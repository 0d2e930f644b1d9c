"""Child processes of `pillarbox dev`: started with a log of their own, watched, and ended in good order."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.errors import ChildError
from app.processes.ports import LOOPBACK
from app.processes.tether import tethered

_POLL_S = 0.05
_READY_S = 60.0
_END_S = 20.0
_ANSWER_S = 2.0


def python(*arguments: str) -> list[str]:
    """Return a command line that runs a module of this project.

    `python -m` would prefer folders of the working directory, and `app` or `worker` are likely names
    of folders there.
    """
    safe = [] if Path.cwd() == Path(__file__).parents[2] else ["-P"]
    return [sys.executable, *safe, *arguments]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a child is: its name in sentences, its command, its log, and where it says that it is ready."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    port: int
    ready_path: str


class Child:
    """A running child process."""

    def __init__(self, plan: Plan, process: Process) -> None:
        self._plan = plan
        self._process = process

    def require_alive(self) -> None:
        """Raise ChildError if the process has ended."""
        require_alive(f"the {self._plan.name}", self._process.returncode, self._plan.log)

    async def wait_until_ready(self) -> None:
        """Return once the child says that it can work. Raises ChildError if it ends or takes too long."""
        try:
            async with asyncio.timeout(_READY_S):
                while not await _is_ok(self._plan.port, self._plan.ready_path):
                    self.require_alive()
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise ChildError(
                f"the {self._plan.name} was not ready after {_READY_S:.0f} s; "
                f"its log is {self._plan.log}"
            ) from None


@asynccontextmanager
async def running(plan: Plan) -> AsyncIterator[Child]:
    """Run the child while the block runs; then end it and wait for it."""
    process = await _start(plan)
    try:
        yield Child(plan, process)
    finally:
        await _end(process)


async def _start(plan: Plan) -> Process:
    rotate(plan.log)
    with plan.log.open("ab") as log:
        # A process group of its own keeps the terminal's Ctrl-C away: children end in our order.
        return await asyncio.create_subprocess_exec(
            *tethered(plan.command),
            env=plan.environment,
            stdin=DEVNULL,
            stdout=log,
            stderr=STDOUT,
            process_group=0,
        )


def rotate(log: Path) -> None:
    """Put the log of the last run aside; older ones are dropped."""
    if log.exists():
        log.replace(log.with_suffix(".log.1"))


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_END_S):
            await process.wait()
    except TimeoutError:
        # It hangs. Whatever it was doing, accepted mail is on disk.
        process.kill()
        await process.wait()


async def _is_ok(port: int, path: str) -> bool:
    """Tell whether a GET on loopback is answered by 200."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n\r\n".encode()
            )
            status = await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        return False
    return status.split(b" ")[1:2] == [b"200"]


def require_alive(name: str, code: int | None, log: Path) -> None:
    """Raise ChildError if a process has ended, that is, if it has an exit code."""
    if code is not None:
        ending = f"by signal {-code}" if code < 0 else f"exit code {code}"
        raise ChildError(f"{name} ended unexpectedly ({ending}); its log is {log}")
