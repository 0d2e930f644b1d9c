"""Asking the DNS within a time budget.

The servers asked are recursive resolvers: those of the settings in their order, or the system's. One
that fails (silence, SERVFAIL, REFUSED, nonsense) is passed over for the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from types import TracebackType
from typing import TypeVar

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.rrset

from app.errors import ConfigurationError
from app.settings.delivering import DnsSettings
from worker.routing.answers import Answer, Exchanger, Failed, Found, NoData, NoSuchName, Tlsa
from worker.routing.memory import Memory
from worker.routing.records import (
    plain,
    read_alias,
    read_exchangers,
    read_ipv4,
    read_ipv6,
    read_nameservers,
    read_texts,
    read_tlsa,
)

R = TypeVar("R")

_MOST_ALIASES = 8
_ROUNDS = 2
_UDP_BYTES = 1232
"""What a response may have without fragments on the way."""


@dataclass(frozen=True, slots=True)
class _Server:
    address: str
    port: int = 53


@dataclass(frozen=True, slots=True)
class _Silent:
    """A server did not answer."""


class Resolver:
    """Looks names up. Every outcome is an `Answer`; nothing about the DNS is raised.

    Leaving its context stops all questions. Raises ConfigurationError if there is no server to ask.
    """

    def __init__(self, settings: DnsSettings) -> None:
        self._servers = _servers(settings.nameservers)
        self._is_validated = settings.validating
        _take_any_tlsa()
        if settings.validating:
            _require_trust(self._servers, settings)
        self._query_seconds = settings.query_timeout.total_seconds()
        self.budget_seconds = settings.budget.total_seconds()
        most_ttl = settings.max_ttl.total_seconds()
        self._exchangers = Memory[Exchanger](most_ttl)
        self._ipv4 = Memory[str](most_ttl)
        self._ipv6 = Memory[str](most_ttl)
        self._aliases = Memory[str](most_ttl)
        self._nameservers = Memory[str](most_ttl)
        self._texts = Memory[bytes](most_ttl)
        self._tlsa = Memory[Tlsa](most_ttl)

    async def __aenter__(self) -> Resolver:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._exchangers.close()
        for memory in (self._ipv4, self._ipv6, self._aliases, self._nameservers):
            await memory.close()
        await self._texts.close()
        await self._tlsa.close()

    async def exchangers(self, domain: str) -> Answer[Exchanger]:
        """Return the MX records of a domain, in no order."""
        ask = partial(self._look_up, kind=dns.rdatatype.MX, read=read_exchangers)
        return await self._exchangers.recall(domain.lower(), ask)

    async def ipv4(self, name: str) -> Answer[str]:
        """Return the A records of a name."""
        ask = partial(self._look_up, kind=dns.rdatatype.A, read=read_ipv4)
        return await self._ipv4.recall(name.lower(), ask)

    async def ipv6(self, name: str) -> Answer[str]:
        """Return the AAAA records of a name."""
        ask = partial(self._look_up, kind=dns.rdatatype.AAAA, read=read_ipv6)
        return await self._ipv6.recall(name.lower(), ask)

    async def alias(self, name: str) -> Answer[str]:
        """Return the CNAME record of the name itself, whatever stands behind it."""
        ask = partial(self._look_up, kind=dns.rdatatype.CNAME, read=read_alias)
        return await self._aliases.recall(name.lower(), ask)

    async def nameservers(self, name: str) -> Answer[str]:
        """Return the NS records of a name; only the top of a zone has some."""
        ask = partial(self._look_up, kind=dns.rdatatype.NS, read=read_nameservers)
        return await self._nameservers.recall(name.lower(), ask)

    async def texts(self, name: str) -> Answer[bytes]:
        """Return the TXT records of a name, the strings of each joined."""
        ask = partial(self._look_up, kind=dns.rdatatype.TXT, read=read_texts)
        return await self._texts.recall(name.lower(), ask)

    async def tlsa(self, name: str) -> Answer[Tlsa]:
        """Return the TLSA records of a name such as `_25._tcp.mx.example.org`."""
        ask = partial(self._look_up, kind=dns.rdatatype.TLSA, read=read_tlsa)
        return await self._tlsa.recall(name.lower(), ask)

    async def _look_up(
        self,
        name: str,
        *,
        kind: dns.rdatatype.RdataType,
        read: Callable[[dns.rrset.RRset], tuple[R, ...]],
    ) -> Answer[R]:
        try:
            async with asyncio.timeout(self.budget_seconds):
                return await self._follow(dns.name.from_text(name), kind, read)
        except TimeoutError:
            return Failed(f"no answer within {self.budget_seconds:g} seconds")
        except (dns.name.LabelTooLong, dns.name.NameTooLong, dns.exception.SyntaxError):
            return NoSuchName(0)  # what cannot be a name cannot exist
        except dns.exception.DNSException as error:
            return Failed(f"the answer makes no sense: {error}")

    async def _follow(
        self,
        name: dns.name.Name,
        kind: dns.rdatatype.RdataType,
        read: Callable[[dns.rrset.RRset], tuple[R, ...]],
    ) -> Answer[R]:
        """Ask, and ask again for the end of a chain of aliases (RFC 1034 §3.6.2) that came without it."""
        aliases, is_secure = 0, True
        while True:
            response = await self._ask(self._query(name, kind))
            if isinstance(response, Failed):
                return response
            is_secure = is_secure and bool(response.flags & dns.flags.AD)
            chain = response.resolve_chaining()
            name, aliases = chain.canonical_name, aliases + len(chain.cnames)
            if aliases > _MOST_ALIASES:
                return Failed(f"more than {_MOST_ALIASES} aliases")
            if response.rcode() == dns.rcode.NXDOMAIN:
                return NoSuchName(_ttl_of_denial(response, chain.minimum_ttl), is_secure)
            if chain.answer is not None:
                return Found(read(chain.answer), chain.minimum_ttl, is_secure, plain(name))
            if not chain.cnames and not _is_denied(response) and _is_beside_the_point(response):
                return Failed("the answer is to another question, or names other servers to ask")
            if not chain.cnames or _is_denied(response):
                return NoData(_ttl_of_denial(response, chain.minimum_ttl), is_secure)

    def _query(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.message.Message:
        """Make a question; where the answer's AD is believed, AD here asks for it (RFC 6840 §5.7)."""
        query = dns.message.make_query(name, kind, payload=_UDP_BYTES)
        if self._is_validated:
            query.flags |= dns.flags.AD
        return query

    async def _ask(self, query: dns.message.Message) -> dns.message.QueryMessage | Failed:
        """Ask each server; those that were silent once more, since a packet may have been lost."""
        servers: Sequence[_Server] = self._servers
        reason = ""
        for _ in range(_ROUNDS):
            silent: list[_Server] = []
            for server in servers:
                heard = await self._ask_one(query, server)
                if isinstance(heard, dns.message.QueryMessage):
                    return heard
                if isinstance(heard, _Silent):
                    silent.append(server)
                reason = heard.reason if isinstance(heard, Failed) else reason or "no answer"
            servers = silent
        return Failed(reason)

    async def _ask_one(
        self, query: dns.message.Message, server: _Server
    ) -> dns.message.Message | Failed | _Silent:
        try:
            response, _ = await dns.asyncquery.udp_with_fallback(
                query,
                server.address,
                timeout=self._query_seconds,
                port=server.port,
                ignore_unexpected=True,
                # What does not match the question was sent by somebody else: go on waiting.
                ignore_errors=True,
            )
        except dns.exception.Timeout:
            return _Silent()
        except (dns.exception.DNSException, OSError, EOFError) as error:
            return Failed(f"{server.address} cannot be asked: {str(error) or type(error).__name__}")
        if not self._is_validated:
            response.flags &= ~dns.flags.AD  # anybody on the way could have set it
        if response.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
            return response
        return Failed(f"{server.address} answered {dns.rcode.to_text(response.rcode())}")


def _is_denied(response: dns.message.Message) -> bool:
    return any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority)


def _ttl_of_denial(response: dns.message.Message, ttl: float) -> float:
    """Return for how long a denial may be kept: without SOA not at all (RFC 2308 §5)."""
    return ttl if _is_denied(response) else 0


def _is_beside_the_point(response: dns.message.Message) -> bool:
    """Tell a referral, or records that were not asked for, from a name without records (RFC 2308 §2.2)."""
    has_referral = any(rrset.rdtype == dns.rdatatype.NS for rrset in response.authority)
    return has_referral or bool(response.answer)


def _take_any_tlsa() -> None:
    """Let dnspython take TLSA records as they stand.

    By itself it refuses a whole answer for one malformed record, and RFC 7672 §2.2 has us look past that one.
    """
    dns.rdata._rdata_classes[dns.rdataclass.IN, dns.rdatatype.TLSA] = dns.rdata.GenericRdata


def _require_trust(servers: Sequence[_Server], settings: DnsSettings) -> None:
    """Refuse to believe servers that an attacker may stand in front of (RFC 7672 §2.2, RFC 4035 §4.9.3)."""
    for server in servers:
        address = ip_address(server.address)
        if not address.is_loopback and not any(
            address in network for network in settings.trusted_networks
        ):
            raise ConfigurationError(
                f"dns.validating: {server.address} is not on loopback: run a validating resolver beside the "
                "worker and name it in dns.nameservers, or name its network in dns.trusted_networks"
            )


def _servers(names: Sequence[str]) -> tuple[_Server, ...]:
    try:
        return tuple(map(_server, names or _system_servers()))
    except ValueError as error:
        raise ConfigurationError(
            f"dns.nameservers: {error}; write `ip`, `ip:port` or `[ip]:port`"
        ) from error


def _system_servers() -> Sequence[str]:
    try:
        return [str(server) for server in dns.resolver.Resolver().nameservers]
    except dns.resolver.NoResolverConfiguration as error:
        raise ConfigurationError(
            "the system names no DNS resolver: set PILLARBOX_DNS__NAMESERVERS"
        ) from error


def _server(name: str) -> _Server:
    host, separator, port = name.rpartition(":")
    if not separator or name.endswith("]") or (":" in host and not host.startswith("[")):
        return _Server(str(ip_address(name.strip("[]"))))
    return _Server(str(ip_address(host.strip("[]"))), int(port))
