"""The receivers as the measurements use them: started, asked, and told how far away they are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from app.processes.ports import free_port


class _Greeting(msgspec.Struct):
    dns: str


class Seen(msgspec.Struct):
    """What the receivers saw since they were asked last; `taken` has the moment of each mail by recipient."""

    open: int
    peak: int
    mails: int
    connection_seconds: float
    taken: dict[str, float]


@dataclass(frozen=True, slots=True)
class Farm:
    """Running receivers: their SMTP port on all of loopback, their DNS server, their process."""

    port: int
    dns_address: str
    domains: tuple[str, ...]
    process: subprocess.Popen[bytes]

    def tell(self, **changes: float) -> Seen:
        """Change `round_trip` or `slow_reply` (seconds); return what was seen up to now."""
        return self._ask(changes)

    def look(self) -> Seen:
        """Return what was seen since the last time."""
        return self._ask({})

    def _ask(self, changes: Mapping[str, float]) -> Seen:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(msgspec.json.encode(changes) + b"\n")
        self.process.stdin.flush()
        return msgspec.json.decode(self.process.stdout.readline(), type=Seen)


@contextmanager
def farm(domains: int, *, has_tls: bool = False) -> Iterator[Farm]:
    """Run receivers for d0.example, d1.example, … and slow.example while the block runs."""
    port = free_port()
    command = [sys.executable, "-m", "bench.receivers", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--domains", str(domains), *["--tls"] * has_tls],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout
            greeting = msgspec.json.decode(process.stdout.readline(), type=_Greeting)
            names = tuple(f"d{number}.example" for number in range(domains))
            yield Farm(port, greeting.dns, names, process)
        finally:
            process.kill()
