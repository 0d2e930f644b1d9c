"""Settings of the way of a mail: connections, retries, limits, names, and how safe it is."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from app.networks import Network
from app.settings.forms import Count, Group, HostName, Port, Rate, Seconds


class SmtpTimeouts(Group):
    """How long each step of an SMTP session may take (RFC 5321 §4.5.3.2)."""

    connect: Seconds = timedelta(seconds=15)
    """TCP connection; after it the next address is tried."""
    greeting: Seconds = timedelta(minutes=5)
    """The 220 greeting."""
    ehlo: Seconds = timedelta(minutes=5)
    """EHLO, HELO and STARTTLS with its handshake."""
    mail: Seconds = timedelta(minutes=5)
    """MAIL FROM."""
    rcpt: Seconds = timedelta(minutes=5)
    """Each RCPT TO."""
    data: Seconds = timedelta(minutes=2)
    """DATA, up to the 354."""
    block: Seconds = timedelta(minutes=3)
    """Each block of the message body, until the peer has taken it."""
    dot: Seconds = timedelta(minutes=10)
    """The final dot; too short a wait makes duplicates."""
    quit: Seconds = timedelta(seconds=5)
    """QUIT and RSET; nobody's mail depends on them."""
    attempt: Seconds = timedelta(minutes=30)
    """All of one attempt together, up to its final dot: many slow steps hold a place for no longer."""


class DeliverySettings(Group):
    """How mail is carried."""

    smtp_port: Port = 25
    """Port of the receiving hosts."""
    ehlo_name: HostName = Field(default_factory=socket.getfqdn)
    """Our name in EHLO: a full name that resolves to the sending address (RFC 5321 §4.1.1.1). Instead of one
    without a dot, the address itself is named."""
    sources_file: Path | None = None
    """TOML file with the addresses that mail leaves from (docs/sources.md); the system picks one without it."""
    allowed_networks: tuple[Network, ...] = ()
    """Private or loopback networks that mail may nevertheless be sent to."""
    own_hosts: tuple[str, ...] = ()
    """Our own exchangers, if they pass mail on to Pillarbox: they and those behind them get none."""
    catch_all: str | None = None
    """`host:port` that takes every mail instead of the recipient's MX; for development."""
    retry_after: tuple[Seconds, ...] = tuple(
        timedelta(minutes=m) for m in (1, 5, 15, 30, 60, 120, 240, 360)
    )
    """Waits after the first, second, … deferral of a recipient; the last one repeats."""
    retry_jitter: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Each wait is made longer or shorter by up to this part of it."""
    most_interruptions: Count = 8
    """Workers that may be lost with a message in hand before it is given up; waits grow as `retry_after`."""
    site_back_off: tuple[Seconds, ...] = tuple(timedelta(seconds=s) for s in (30, 60, 120, 300))
    """Waits of a whole lane after its first, second, … failure to reach any host; the first one is also how
    long a host that failed a transport policy is not asked again."""
    first_window: Count = 5
    """Drains, and so connections, that a receiving system gets at first, from all workers together."""
    window: Count = 20
    """Drains that a receiving system gets at most; each mail that goes through widens its window by one."""
    site_rest: Seconds = timedelta(minutes=5)
    """Rest of a receiving system that failed as often in a row as its window is wide."""
    rate: Rate | None = None
    """Mails over time to one receiving system, from all workers together: `10/s`, `600/m`, `5000/h`."""
    profiles_file: Path | None = None
    """TOML file with limits of single receiving systems, which change or add to those in [sites.md](sites.md)."""
    expires_after: Seconds = timedelta(days=4)
    """How long a message is tried where it does not say."""
    max_expires_after: Seconds = timedelta(days=14)
    """The longest life a message may ask for."""
    lane_drains: Count = 20
    """Drains, and so connections, that one lane may have at a time."""
    mails_per_drain: Count = 4
    """Due mails a lane must have for each further drain."""
    drain_time: Seconds = timedelta(seconds=20)
    """How long one drain may run before the lane goes to the end of the line."""
    drain_mails: Count = 1_000
    """How many mails one drain may carry before the lane goes to the end of the line."""
    lease: Seconds = timedelta(seconds=30)
    """How long a drain keeps its claim without renewing it."""
    addresses_per_attempt: Count = 5
    """Addresses of hosts that one attempt tries at most."""
    sessions_per_attempt: Count = 2
    """Hosts that answered and that one attempt speaks to at most."""
    recipients_per_transaction: Count = 100
    """Recipients in one SMTP transaction (RFC 5321 §4.5.3.1.8)."""
    connection_mails: Count = 1_000
    """Mails carried over one connection at most."""
    connection_idle: Seconds = timedelta(seconds=10)
    """How long an unused connection is kept."""
    connections_kept: Count = 2_000
    """Unused connections that one worker keeps at most; then the one unused for longest makes room."""
    timeouts: SmtpTimeouts = SmtpTimeouts()

    @field_validator("catch_all")
    @classmethod
    def _is_place(cls, value: str | None) -> str | None:
        host, _, port = (value or "x:1").rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(f"{value!r} is no `host:port`")
        return value


class DnsSettings(Group):
    """How names are looked up."""

    nameservers: tuple[str, ...] = ()
    """Resolvers as `ip` or `ip:port`; those of the system where empty."""
    query_timeout: Seconds = timedelta(seconds=3)
    """How long one resolver may take for one question."""
    second_look: Seconds = timedelta(minutes=15)
    """A domain that does not exist is looked up again after this time, before its mail bounces."""
    budget: Seconds = timedelta(seconds=12)
    """How long all questions of one look-up may take together."""
    max_ttl: Seconds = timedelta(hours=1)
    """Longest time that an answer is kept, whatever its TTL."""
    dry_run: Seconds = timedelta(seconds=8)
    """How long a dry run waits for what a worker finds; the worker looks for three quarters of it."""
    validating: bool = False
    """The resolvers validate DNSSEC, and nobody can change answers on the way to us; switches DANE on."""
    trusted_networks: tuple[Network, ...] = ()
    """Networks beside loopback where validating resolvers may be: none but you sends packets there."""


class TlsSettings(Group):
    """How connections to receiving hosts are protected (docs/tls.md)."""

    authorities: Path | None = None
    """PEM file with the certificates of the authorities that are trusted; those of the system where missing."""
    mta_sts: bool = True
    """Keep the MTA-STS policies of receiving domains (RFC 8461)."""
    mta_sts_port: Port = 443
    """Port of the hosts that publish MTA-STS policies; the standard knows no other."""
    plain_domains: tuple[str, ...] = ()
    """Recipient domains that are sent to without TLS, unless they publish a policy or the message demands it."""
