"""Addresses: their families, and which may be connected to: public ones, and those the settings name. Pure.

The second is asked for every address of a mail exchanger, for every connection to an endpoint, and for
literals in URLs, so that nobody can make us speak to machines that only we can reach (CWE-918).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# An own table: what the standard library calls global changed between versions (CVE-2024-4032).
_CLOSED: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network (RFC 791)
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598), pods of many clusters
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local (RFC 3927), metadata of clouds
        "172.16.0.0/12",  # private (RFC 1918)
        "192.0.0.0/24",  # protocol assignments (RFC 6890)
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "192.168.0.0/16",  # private (RFC 1918)
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "::/96",  # unspecified, loopback, IPv4-compatible (RFC 4291)
        "64:ff9b:1::/48",  # local translation (RFC 8215)
        "100::/64",  # discard (RFC 6666)
        "100:0:0:1::/64",  # dummy prefix (RFC 9780)
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks (RFC 2928)
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4 (RFC 7526)
        "3fff::/20",  # documentation (RFC 9637)
        "5f00::/16",  # segment routing (RFC 9602)
        "fc00::/7",  # unique local (RFC 4193)
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local (RFC 3879)
        "ff00::/8",  # multicast
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


def is_ipv6(address: str) -> bool:
    """Tell the family of an IP address in its usual notation."""
    return ":" in address


def family_of(address: str) -> socket.AddressFamily:
    """Return the family of an IP address in its usual notation, as sockets want it."""
    return socket.AF_INET6 if is_ipv6(address) else socket.AF_INET


def is_allowed(address: str | Address, allowed: Sequence[Network] = ()) -> bool:
    """Tell whether `address` is public, or in one of the `allowed` networks.

    An address that only wraps an IPv4 one (RFC 4291 §2.5.5.2, RFC 6052) is judged by what it wraps.
    What is no IP address in its usual notation is not allowed, and neither is one with a scope.
    """
    wrapped = _parse(address)
    if wrapped is None:
        return False
    return _is_public(wrapped) or any(wrapped in network for network in allowed)


@lru_cache(maxsize=10_000)
def _parse(address: str | Address) -> Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv4Address):
        return parsed
    if parsed.scope_id is not None:
        return None
    return _unwrapped(parsed)


def _unwrapped(address: IPv6Address) -> Address:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address


@lru_cache(maxsize=10_000)
def _is_public(address: Address) -> bool:
    return not any(address in network for network in _CLOSED)
