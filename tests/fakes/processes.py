"""The real processes of Pillarbox under a test's or a benchmark's control."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from app.processes.ports import LOOPBACK, free_port
from tests.fakes.waiting import wait_until

_PATIENCE_S = 30.0


class Process:
    """One child process with its output in a file. Use it as a context manager.

    What is changed in its `environment` counts from the next start on.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        self._arguments = list(arguments)
        self.environment = {**os.environ, **environment}
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def child(self) -> subprocess.Popen[bytes]:
        """The running child."""
        assert self._child is not None, f"{self.name} was not started"
        return self._child

    def start(self) -> None:
        """Start it; it may be started again after it ended."""
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self._arguments,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def kill(self) -> None:
        """End it by SIGKILL and wait until it is gone."""
        self.child.kill()
        self.child.wait()

    def freeze(self) -> None:
        """Stop it by SIGSTOP."""
        self.child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.child.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """End it by SIGTERM and return its exit code."""
        self.child.terminate()
        return self.child.wait(_PATIENCE_S)

    def wait_until_ready(self, url: str) -> None:
        """Wait until `url` answers 200. Raises AssertionError with the end of its log where it does not."""
        wait_until(lambda: self._has_ended() or _answers(url), self._trouble)
        assert not self._has_ended(), self._trouble()

    def _has_ended(self) -> bool:
        return self.child.poll() is not None

    def _trouble(self) -> str:
        return f"{self.name} is not ready:\n{self.log.read_text()[-4000:]}"

    def __enter__(self) -> Process:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._child and self._child.poll() is None:
            self.thaw()
            self.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def api_process(environment: Mapping[str, str], directory: Path) -> tuple[Process, str]:
    """Return an API process, not yet started, and its URL."""
    port = free_port()
    arguments = [sys.executable, "-m", "app.cli", "api"]
    wanted = {**environment, "PILLARBOX_API__PORT": str(port)}
    return Process("api", arguments, wanted, directory / "api.log"), f"http://{LOOPBACK}:{port}"


def worker_process(
    environment: Mapping[str, str], directory: Path, name: str = "worker"
) -> tuple[Process, str]:
    """Return a worker process, not yet started, and its URL."""
    port = free_port()
    wanted = {**environment, "PILLARBOX_WORKER__HEALTH_PORT": str(port)}
    arguments = [sys.executable, "-m", "worker"]
    return Process(name, arguments, wanted, directory / f"{name}.log"), f"http://{LOOPBACK}:{port}"
