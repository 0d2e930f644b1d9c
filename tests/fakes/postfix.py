"""A real Postfix of its own, apart from any that the machine runs: as a receiving MX, or as a relay.

It needs root (Postfix gives up its rights itself) and Debian's package `postfix`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from tests.fakes.waiting import wait_until

_SERVICES = """\
{port} inet n - n - 200 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
tlsmgr unix - - n 1000? 1 tlsmgr
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - {deliveries} smtp
relay unix - - n - {deliveries} smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
local unix - n n - - local
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def why_not() -> str | None:
    """Return why Postfix cannot run here, or None if it can."""
    if shutil.which("postfix", path=_path()) is None:
        return "Debian's package postfix is not installed"
    return None if os.geteuid() == 0 else "Postfix can only be started by root"


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


class Postfix:
    """One Postfix instance below `directory`, listening on `address:port`. Use it as a context manager."""

    def __init__(
        self,
        directory: Path,
        port: int,
        settings: dict[str, str],
        *,
        address: str = "127.0.0.1",
        deliveries: int = 100,
    ) -> None:
        self.directory = directory
        self.log = directory / "postfix.log"
        self._port = port
        self._address = address
        self._settings = settings
        self._deliveries = deliveries

    @property
    def pid(self) -> int:
        """The process id of the master, whose children do the work."""
        return int((self.directory / "queue" / "pid" / "master.pid").read_text())

    @property
    def mails(self) -> list[Path]:
        """The mails that a receiving instance has put into its mailboxes, oldest first."""
        return sorted(
            self.directory.glob("mail/**/new/*"), key=lambda path: path.stat().st_mtime_ns
        )

    def is_empty(self) -> bool:
        """Tell whether nothing is queued."""
        return not any(self._queued())

    def __enter__(self) -> Postfix:
        self._write_configuration()
        self._run("start")
        wait_until(lambda: self._command("status") == 0, self.log.read_text)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._command("abort")

    def _queued(self) -> Iterator[Path]:
        for name in ("maildrop", "incoming", "active", "deferred"):
            yield from (
                path for path in (self.directory / "queue" / name).rglob("*") if path.is_file()
            )

    def _write_configuration(self) -> None:
        for name in ("etc", "queue", "data", "mail"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        for folder in (self.directory, *self.directory.parents):
            # Postfix' own user must be able to reach its queue.
            if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o011)
        shutil.chown(self.directory / "data", "postfix")
        shutil.chown(self.directory / "mail", "postfix", "postfix")
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": str(self.directory / "queue"),
            "data_directory": str(self.directory / "data"),
            "maillog_file": str(self.log),
            "maillog_file_prefixes": str(self.directory),
            "myhostname": "postfix.example.org",
            "inet_interfaces": self._address,
            "inet_protocols": "ipv4",
            "mydestination": "",
            "alias_maps": "",
            "alias_database": "",
            "smtpd_client_connection_rate_limit": "0",
            "smtpd_client_connection_count_limit": "0",
            "debugger_command": "",
            **self._settings,
        }
        text = "".join(f"{name} = {value}\n" for name, value in settings.items())
        (self.directory / "etc" / "main.cf").write_text(text)
        (self.directory / "etc" / "master.cf").write_text(
            _SERVICES.format(port=self._port, deliveries=self._deliveries)
        )

    def _run(self, verb: str) -> None:
        code = self._command(verb)
        assert code == 0, f"postfix {verb}: {self.log.read_text() if self.log.exists() else code}"

    def _command(self, verb: str) -> int:
        return subprocess.run(
            ["postfix", "-c", str(self.directory / "etc"), verb],
            env={**os.environ, "PATH": _path()},
            capture_output=True,
            check=False,
        ).returncode


def receiving(directory: Path, port: int, domain: str, **settings: str) -> Postfix:
    """Return an instance that takes mail for every address of `domain` into one mailbox."""
    user = pwd.getpwnam("postfix")
    return Postfix(
        directory,
        port,
        {
            "virtual_mailbox_domains": domain,
            "virtual_mailbox_base": str(directory / "mail"),
            "virtual_mailbox_maps": f"static:{domain}/",
            "virtual_minimum_uid": "1",
            "virtual_uid_maps": f"static:{user.pw_uid}",
            "virtual_gid_maps": f"static:{user.pw_gid}",
            **settings,
        },
    )


def relaying(directory: Path, port: int, sink_port: int, connections: int = 50) -> Postfix:
    """Return an instance that relays everything to a sink on loopback, over `connections` at most."""
    return Postfix(
        directory,
        port,
        {
            "mynetworks": "127.0.0.0/8",
            "relayhost": f"[127.0.0.1]:{sink_port}",
            "default_destination_concurrency_limit": str(connections),
            "initial_destination_concurrency": "20",
            "minimal_backoff_time": "1s",
            "queue_run_delay": "1s",
        },
        deliveries=max(100, connections),
    )
