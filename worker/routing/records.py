"""Records of the DNS as dnspython has them, read into plain values."""

from __future__ import annotations

import dns.name
import dns.rdata
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.NS
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.rrset

from worker.routing.answers import Exchanger, Tlsa

_CUT_OFF = Tlsa(255, 255, 255, b"")
"""A TLSA record without its three numbers."""


def plain(name: dns.name.Name) -> str:
    """Return a name in lower case without the final dot."""
    return name.to_text(omit_final_dot=True).lower()


def read_exchangers(records: dns.rrset.RRset) -> tuple[Exchanger, ...]:
    """Return MX records."""
    return tuple(
        Exchanger(
            record.preference, record.exchange.to_text(omit_final_dot=True).lower().strip(".")
        )
        for record in records
        if isinstance(record, dns.rdtypes.ANY.MX.MX)
    )


def read_ipv4(records: dns.rrset.RRset) -> tuple[str, ...]:
    """Return A records."""
    return tuple(record.address for record in records if isinstance(record, dns.rdtypes.IN.A.A))


def read_ipv6(records: dns.rrset.RRset) -> tuple[str, ...]:
    """Return AAAA records."""
    return tuple(
        record.address for record in records if isinstance(record, dns.rdtypes.IN.AAAA.AAAA)
    )


def read_alias(records: dns.rrset.RRset) -> tuple[str, ...]:
    """Return the target of a CNAME record."""
    return tuple(
        plain(record.target)
        for record in records
        if isinstance(record, dns.rdtypes.ANY.CNAME.CNAME)
    )


def read_nameservers(records: dns.rrset.RRset) -> tuple[str, ...]:
    """Return the hosts of NS records."""
    return tuple(
        plain(record.target) for record in records if isinstance(record, dns.rdtypes.ANY.NS.NS)
    )


def read_texts(records: dns.rrset.RRset) -> tuple[bytes, ...]:
    """Return TXT records, the strings of each joined."""
    return tuple(
        b"".join(record.strings)
        for record in records
        if isinstance(record, dns.rdtypes.ANY.TXT.TXT)
    )


def read_tlsa(records: dns.rrset.RRset) -> tuple[Tlsa, ...]:
    """Return TLSA records, as they stand."""
    found = (record.data for record in records if isinstance(record, dns.rdata.GenericRdata))
    return tuple(
        Tlsa(data[0], data[1], data[2], data[3:]) if len(data) >= 3 else _CUT_OFF for data in found
    )
