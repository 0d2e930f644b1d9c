"""A real Exim as a receiving MX, run from packages unpacked aside: no installation and no rights are needed.

`tools/aside-packages` unpacks it, since Debian installs one mail server at a time. Exim insists that its
system user exists; a wrapper of the C library makes it see the user that it runs as.

    with Exim(directory, port, "example.org") as exim:
        ...                                      # send; nobody@ is refused, later@ deferred
        exim.mails                               # the files of what was taken
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path
from types import TracebackType

import trustme

from tests.fakes.waiting import wait_until

_ASIDE = Path(__file__).parents[2] / ".aside" / "exim"
_PATIENCE_S = 30.0
_KEPT = ("LD_LIBRARY_PATH", "LD_PRELOAD", "NSS_WRAPPER_PASSWD", "NSS_WRAPPER_GROUP")

_CONFIGURATION = """\
primary_hostname = exim.example.org
exim_path = {exim}
spool_directory = {directory}/spool
log_file_path = {directory}/log/%s
pid_file_path = {directory}/spool/exim.pid
keep_environment = {kept}
deliver_drop_privilege = true
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
pipelining_advertise_hosts = *
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
tls_advertise_hosts = {tls_hosts}
tls_certificate = {directory}/tls/certificate
tls_privatekey = {directory}/tls/key
acl_smtp_rcpt = recipient
acl_smtp_data = content

begin acl
recipient:
  deny   local_parts = nobody
         message = 550 5.1.1 No such user here
  defer  local_parts = later
         message = 451 4.7.1 Greylisted, come back later
  accept domains = {domain}
  deny   message = 550 5.7.1 Relaying denied
content:
  deny   condition = ${{if eq {{$h_Subject:}}{{spam}}}}
         message = 554 5.7.1 This looks like spam
  accept

begin routers
all:
  driver = accept
  transport = mailbox

begin transports
mailbox:
  driver = appendfile
  directory = {directory}/mail
  maildir_format
  user = Debian-exim
"""


def why_not() -> str | None:
    """Return why Exim cannot run here, or None if it can."""
    found = (_ASIDE / ".complete").exists()
    return None if found else "Exim is not unpacked in .aside: tools/aside-packages does that"


class Exim:
    """One Exim on `port` of loopback that takes mail for `domain`. Use it as a context manager."""

    def __init__(self, directory: Path, port: int, domain: str, *, has_tls: bool = False) -> None:
        self.directory = directory
        self._port = port
        self._domain = domain
        self._has_tls = has_tls
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def mails(self) -> list[Path]:
        """The mails that were taken, oldest first."""
        return sorted(self.directory.glob("mail/new/*"), key=lambda path: path.stat().st_mtime_ns)

    def log(self) -> str:
        """Return what Exim says of its work."""
        return "".join(path.read_text() for path in sorted(self.directory.glob("log/*")))

    def __enter__(self) -> Exim:
        self._lay_out()
        with self._file("log/stderr").open("wb") as log:
            self._child = subprocess.Popen(
                [self._program, "-C", self._file("exim.conf"), "-bdf"],
                env=self._environment(),
                user=self._user.pw_uid,
                group=self._user.pw_gid,
                extra_groups=[] if os.geteuid() == 0 else None,
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        wait_until(self._listens, self.log)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._child:
            self._child.terminate()
            self._child.wait(_PATIENCE_S)

    @property
    def _program(self) -> Path:
        return self.directory / "usr" / "sbin" / "exim4"

    def _listens(self) -> bool:
        assert self._child
        assert self._child.poll() is None, self.log()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def _environment(self) -> dict[str, str]:
        (libraries,) = {path.parent for path in self.directory.rglob("libnss_wrapper.so")}
        values = (libraries, libraries / "libnss_wrapper.so", *map(self._file, ("passwd", "group")))
        return {name: str(value) for name, value in zip(_KEPT, values, strict=True)}

    def _file(self, name: str) -> Path:
        return self.directory / name

    def _lay_out(self) -> None:
        shutil.copytree(_ASIDE / "usr", self.directory / "usr", symlinks=True)
        for name in ("spool", "log", "mail", "tls"):
            self._file(name).mkdir()
        uid, gid = self._user.pw_uid, self._user.pw_gid
        self._file("passwd").write_text(f"Debian-exim:x:{uid}:{gid}::/:/bin/sh\nroot:x:0:0::/:\n")
        self._file("group").write_text(f"Debian-exim:x:{gid}:\nroot:x:0:\n")
        certificate = trustme.CA().issue_cert("exim.example.org")
        certificate.cert_chain_pems[0].write_to_path(str(self._file("tls") / "certificate"))
        certificate.private_key_pem.write_to_path(str(self._file("tls") / "key"))
        self._file("exim.conf").write_text(
            _CONFIGURATION.format(
                exim=self._program,
                directory=self.directory,
                kept=" : ".join(_KEPT),
                port=self._port,
                tls_hosts="*" if self._has_tls else "",
                domain=self._domain,
            )
        )
        self._hand_over()

    def _hand_over(self) -> None:
        """Let the user that Exim runs as reach its files, where that is another than ours."""
        if os.geteuid() != 0:
            return
        for folder in (self.directory, *self.directory.parents):
            if folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o011)
        for name in ("spool", "log", "mail", "tls"):
            for path in (self._file(name), *self._file(name).iterdir()):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
