"""Haraka as a relay: its outbound queue is on disk, and each mail is fsynced before it is answered.

npm installs it once, at the versions and hashes of `npm/package-lock.json`, below `.benchmarks/`.
"""

from __future__ import annotations

import functools
import shutil
import socket
import subprocess
from pathlib import Path
from types import TracebackType

from tests.fakes.waiting import wait_until

_PINNED = Path(__file__).parent / "npm"
_PLACE = Path(".benchmarks") / "haraka"
_PROGRAM = _PLACE / "node_modules" / "Haraka" / "bin" / "haraka"
_INSTALL = [
    "npm",
    "ci",
    "--ignore-scripts",
    "--omit=dev",
    "--omit=optional",
    "--no-audit",
    "--no-fund",
]


@functools.cache
def why_not() -> str | None:
    """Return why Haraka cannot run here, or None if it can; installs it where it is missing."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node and npm are not installed"
    if _PROGRAM.exists():
        return None
    shutil.copytree(_PINNED, _PLACE, dirs_exist_ok=True)
    done = subprocess.run(_INSTALL, cwd=_PLACE, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"npm could not install it: {done.stderr[-300:]}"


class Haraka:
    """A relay on `port` of loopback that sends everything to a sink. Use it as a context manager."""

    def __init__(self, directory: Path, port: int, sink_port: int, connections: int) -> None:
        self._directory = directory
        self._port = port
        self._files = {
            "smtp.ini": f"listen=127.0.0.1:{port}\nnodes=0\n",
            "outbound.ini": f"concurrency_max={connections}\nenable_tls=false\nlocal_mx_ok=true\n",
            "log.ini": "[main]\nlevel=error\nformat=default\n",
            "me": "haraka.example.org\n",
            "plugins": "beside\n",
            "sink_port": f"{sink_port}\n",
            "host_list": "",
        }
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._child is not None, "Haraka was not started"
        return self._child.pid

    def is_empty(self) -> bool:
        """Tell whether nothing is queued."""
        queue = self._directory / "queue"
        return not queue.exists() or not any(queue.iterdir())

    def __enter__(self) -> Haraka:
        shutil.copytree(_PROGRAM.parents[1] / "config", self._directory / "config")
        for name in ("plugins", "queue"):
            (self._directory / name).mkdir()
        for name, text in self._files.items():
            (self._directory / "config" / name).write_text(text)
        shutil.copy(_PINNED / "beside.js", self._directory / "plugins")
        with (self._directory / "haraka.log").open("wb") as log:
            self._child = subprocess.Popen(
                ["node", str(_PROGRAM), "-c", str(self._directory)], stdout=log, stderr=log
            )
        wait_until(self._listens, self._trouble)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._child:
            self._child.kill()
            self._child.wait()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def _trouble(self) -> str:
        return f"Haraka is not ready:\n{(self._directory / 'haraka.log').read_text()[-2000:]}"
