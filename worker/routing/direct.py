"""Asking one name server what it has, as a resolver would: the answer of that server and of no other.

Unlike `worker.routing.resolver`, nothing is kept, followed or asked elsewhere. Who may be asked is decided by
whoever calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from worker.routing.answers import Failed
from worker.routing.records import read_alias, read_exchangers, read_nameservers, read_texts

Kind: TypeAlias = Literal["TXT", "MX"]

_TRIES = 2
_UDP_BYTES = 1232
_MOST_ALIASES = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name server listens."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Told:
    """What a server has: values of the name, the name it is an alias of, or servers that know more.

    All are empty where it says that there is nothing.
    """

    values: tuple[str, ...] = ()
    alias: str = ""
    referral: tuple[str, ...] = ()


async def ask(place: Place, name: str, kind: Kind, timeout_s: float) -> Told | Failed:
    """Ask one server for the records of a name, without recursion, once more where it is silent.

    An answer that the server has no authority for counts as none: it is lame.
    """
    try:
        query = dns.message.make_query(name, kind, payload=_UDP_BYTES)
    except dns.exception.DNSException as error:
        return Failed(f"{name} cannot be asked for: {error}")
    query.flags &= ~dns.flags.RD
    for _ in range(_TRIES):
        try:
            response, _ = await dns.asyncquery.udp_with_fallback(
                query,
                place.address,
                timeout=timeout_s,
                port=place.port,
                ignore_unexpected=True,
                ignore_errors=True,
            )
            return _told(response, query.question[0].name, kind)
        except dns.exception.Timeout:
            continue
        except (dns.exception.DNSException, OSError, EOFError) as error:
            return Failed(str(error) or type(error).__name__)
    return Failed("no answer")


def _told(response: dns.message.Message, name: dns.name.Name, kind: Kind) -> Told | Failed:
    code = response.rcode()
    if code not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        return Failed(f"answers {dns.rcode.to_text(code)}")
    has_authority = bool(response.flags & dns.flags.AA)
    if not has_authority:
        referral = _referral(response, name)
        return Told(referral=referral) if referral else Failed("has no authority for it")
    return _answer(response, name, kind)


def _answer(response: dns.message.Message, name: dns.name.Name, kind: Kind) -> Told:
    """Follow aliases as far as the answer itself goes, and no further than resolvers do.

    An answer has room for thousands, each of which is looked for among all.
    """
    for _ in range(_MOST_ALIASES + 1):
        values = _records(response, name, kind)
        if values is not None:
            return Told(values)
        alias = _records(response, name, "CNAME")
        if not alias:
            return Told()
        name = dns.name.from_text(alias[0])
        if not any(rrset.name == name for rrset in response.answer):
            return Told(alias=alias[0])
    return Told()  # a loop, or what no receiver would follow


def _records(
    response: dns.message.Message, name: dns.name.Name, kind: Literal["TXT", "MX", "CNAME"]
) -> tuple[str, ...] | None:
    wanted = dns.rdatatype.from_text(kind)
    for rrset in response.answer:
        if rrset.name == name and rrset.rdtype == wanted:
            return _read(rrset, kind)
    return None


def _read(rrset: dns.rrset.RRset, kind: Literal["TXT", "MX", "CNAME"]) -> tuple[str, ...]:
    match kind:
        case "TXT":
            return tuple(text.decode("utf-8", "replace") for text in read_texts(rrset))
        case "MX":
            return tuple(f"{each.preference} {each.name}" for each in read_exchangers(rrset))
        case "CNAME":
            return read_alias(rrset)


def _referral(response: dns.message.Message, name: dns.name.Name) -> tuple[str, ...]:
    """Return the servers of a zone below, where the answer names some (RFC 1034 §4.3.1)."""
    for rrset in response.authority:
        if rrset.rdtype == dns.rdatatype.NS and name.is_subdomain(rrset.name):
            return read_nameservers(rrset)
    return ()
