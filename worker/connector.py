"""What HTTP that goes out has in common: where it may go, whose certificates it trusts, and what it never does."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from app.errors import ConfigurationError
from app.networks import Network, family_of, is_allowed
from worker.routing.answers import Answer, Failed, Found
from worker.routing.resolver import Resolver


def http_session(
    connector: aiohttp.TCPConnector, timeout_s: float, headers: Mapping[str, str]
) -> aiohttp.ClientSession:
    """Return a session over `connector`, to be closed by who uses it; a call takes `timeout_s` in all.

    It keeps no cookies, asks no proxy of the environment, and unpacks nothing: a few bytes may unpack to a lot.
    """
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


def guarded_sockets(
    allowed: Sequence[Network], whose: str
) -> Callable[[aiohttp.AddrInfoType], socket.socket]:
    """Return what makes the sockets of an `aiohttp.TCPConnector`.

    It raises PermissionError for an address that is neither public nor in `allowed`; `whose` (a plural) says in
    that error what is connected to. It sees the address in the moment of connecting, so no DNS answer can
    change between the check and the connection (CWE-918).
    """

    def make(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not is_allowed(str(address[0]), allowed):
            reason = f"{address[0]} is a private address; {whose} are at public ones"
            raise PermissionError(errno.EACCES, reason)
        return socket.socket(family, kind, protocol)

    return make


def verifying_context(authorities: Path | None) -> ssl.SSLContext:
    """Return a TLS context that wants a certificate for the host's name, from TLS 1.2 on (RFC 8996).

    `authorities` is a PEM file of the trusted ones, None for those of the system. The name has to stand
    among the alternative names of the certificate (RFC 8461 §4.2, RFC 9525 §6.3). Raises ConfigurationError
    for a file that cannot be read. Build it once: it takes milliseconds.
    """
    try:
        context = ssl.create_default_context(cafile=authorities)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"tls.authorities: {authorities} cannot be read: {error}"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    return context


class OwnNames(AbstractResolver):
    """The resolver in the form that aiohttp wants."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host. Raises OSError where it has none, or nobody can tell."""
        del family  # both are wanted
        name = host.rstrip(".").lower()
        if name == "localhost" or name.endswith(".localhost"):
            return [_place(host, "127.0.0.1", port), _place(host, "::1", port)]  # RFC 6761 §6.3
        answers = await asyncio.gather(self._resolver.ipv4(name), self._resolver.ipv6(name))
        found = [_place(host, address, port) for answer in answers for address in _records(answer)]
        if not found:
            reasons = [answer.reason for answer in answers if isinstance(answer, Failed)]
            raise OSError(socket.EAI_NONAME, *reasons[:1] or ["the DNS has no address for it"])
        return found

    async def close(self) -> None:
        """Leave the resolver to whoever opened it."""


def _records(answer: Answer[str]) -> tuple[str, ...]:
    return answer.records if isinstance(answer, Found) else ()


def _place(host: str, address: str, port: int) -> ResolveResult:
    family = family_of(address)
    flags = socket.AI_NUMERICHOST
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=0, flags=flags
    )
