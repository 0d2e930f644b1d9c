"""A real Valkey server under the test's control: it can be killed, frozen and started again."""

from __future__ import annotations

import os
import signal

from app.processes.valkey import EmbeddedValkey


class ValkeyServer(EmbeddedValkey):
    """The embedded server with the accidents of servers; `url` stays the same over restarts.

    `options` are added to the command line from the next start on.
    """

    options: tuple[str, ...] = ()

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        self._running().wait()

    def tear(self) -> None:
        """Leave half a command at the end of a killed server's file, as a power cut may: it was never answered."""
        newest = max(self.directory.glob("appendonlydir/*.incr.aof"))
        with newest.open("ab") as file:
            file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$9\r\na comm")

    def freeze(self) -> None:
        """Stop it by SIGSTOP: it stays connected and answers nothing until `thaw`."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Start it again on the same data and address."""
        self.stop()
        self.start()

    def _options(self) -> list[str]:
        return [*super()._options(), *self.options]
