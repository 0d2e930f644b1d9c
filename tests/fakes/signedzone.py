"""A zone that is signed here, behind a real validating resolver (Debian's package `unbound`) on loopback.

    with SignedZones(directory, port) as zones:     # not yet serving
        zones.add("x.example", '''
            @ MX 10 mx
            mx A 127.0.0.1
        ''')
        zones.add("unsigned.example", "...", is_signed=False)
        zones.start()
        DnsSettings(nameservers=(zones.address,), validating=True)

`forge` changes records after they were signed, so that their answers are bogus.
"""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

import dns.dnssec
import dns.message
import dns.name
import dns.query
import dns.rdataclass
import dns.rdatatype
import dns.zone
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from dns.dnssectypes import Algorithm

from tests.fakes.waiting import wait_until

_PATIENCE_S = 20.0
_OPENING = """\
$TTL 300
@ SOA ns.invalid. root.invalid. 1 3600 600 86400 60
@ NS ns.invalid.
"""
_SETTINGS = """\
server:
  directory: "{directory}"
  pidfile: "{directory}/unbound.pid"
  chroot: ""
  username: ""
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  interface: 127.0.0.1@{port}
  access-control: 127.0.0.0/8 allow
  module-config: "validator iterator"
  trust-anchor-file: "{directory}/anchors"
  qname-minimisation: no
  do-not-query-localhost: no
  val-log-level: 2
remote-control:
  control-enable: no
"""
_ZONE = """\
auth-zone:
  name: "{name}"
  zonefile: "{directory}/{name}.zone"
  for-upstream: yes
  for-downstream: no
  fallback-enabled: no
"""


def why_not() -> str | None:
    """Return why unbound cannot run here, or None if it can."""
    return None if _program() else "Debian's package unbound is not installed"


def _program() -> str | None:
    return shutil.which("unbound") or shutil.which("unbound", path="/usr/sbin:/usr/local/sbin")


class SignedZones:
    """See the module."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self._zones: list[str] = []
        self._anchors: list[str] = []
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where the resolver listens, as the settings want it."""
        return f"127.0.0.1:{self.port}"

    def add(self, name: str, records: str, *, is_signed: bool = True) -> None:
        """Add a zone of these records (master file syntax, names relative to the zone)."""
        zone = dns.zone.from_text(_OPENING + records, origin=name, relativize=False)
        if is_signed:
            self._sign(zone, dns.name.from_text(name))
        zone.to_file(str(self._file(name)), relativize=False)
        self._zones.append(name)

    def forge(self, name: str, old: str, new: str) -> None:
        """Replace text in the finished zone, as somebody on the way could."""
        text = self._file(name).read_text()
        assert old in text
        self._file(name).write_text(text.replace(old, new))

    def start(self) -> None:
        """Serve, and wait until it answers. Raises AssertionError with its log where it does not."""
        (self.directory / "anchors").write_text("\n".join(self._anchors) + "\n")
        parts = [_SETTINGS.format(directory=self.directory, port=self.port)]
        parts += [_ZONE.format(directory=self.directory, name=name) for name in self._zones]
        (self.directory / "unbound.conf").write_text("".join(parts))
        program = _program()
        assert program
        with (self.directory / "unbound.log").open("wb") as log:
            self._child = subprocess.Popen(
                [program, "-d", "-c", str(self.directory / "unbound.conf")], stdout=log, stderr=log
            )
        wait_until(self._answers, (self.directory / "unbound.log").read_text)

    def __enter__(self) -> SignedZones:
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

    def _file(self, name: str) -> Path:
        return self.directory / f"{name}.zone"

    def _sign(self, zone: dns.zone.Zone, origin: dns.name.Name) -> None:
        private = generate_private_key(SECP256R1())
        public = dns.dnssec.make_dnskey(private.public_key(), Algorithm.ECDSAP256SHA256, flags=257)
        self._anchors.append(f"{origin} IN DNSKEY {public}")
        now = datetime.now(UTC)
        dns.dnssec.sign_zone(
            zone,
            keys=[(private, public)],
            dnskey_ttl=300,
            inception=now - timedelta(hours=1),
            expiration=now + timedelta(days=1),
        )

    def _answers(self) -> bool:
        assert self._child, "it was not started"
        assert self._child.poll() is None, (self.directory / "unbound.log").read_text()
        query = dns.message.make_query(self._zones[0], dns.rdatatype.SOA)
        try:
            answer = dns.query.udp(query, "127.0.0.1", timeout=0.2, port=self.port)
        except (dns.exception.DNSException, OSError):
            return False
        return bool(answer.answer)
