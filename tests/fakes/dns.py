"""A DNS server of records on loopback, UDP and TCP, which tests may change while it runs.

    async with DnsServer() as dns:
        dns.mx("example.org", (10, "mx1.example.org"), (20, "mx2.example.org"))
        dns.a("mx1.example.org", "127.0.0.2")
        dns.aaaa("mx2.example.org", "::1")
        dns.cname("www.example.org", "example.org")
        dns.ns("example.org", "ns1.example.net")
    dns.txt("_mta-sts.example.org", "v=STSv1; id=1;")
    dns.tlsa("_25._tcp.mx1.example.org", bytes.fromhex("030101..."))    # the whole RDATA
    dns.signed.add("example.org")               # what is in or below it is answered with AD
        settings = DnsSettings(nameservers=(dns.address,))

A name without records does not exist (NXDOMAIN); a name with records of another type only answers
NODATA. Setting records again replaces them, without any removes them. Trouble is set by name, for all
types or one, and goes away with `heal`:

    dns.trouble("example.org", Trouble.SERVFAIL)
    dns.trouble("mx1.example.org", Trouble.SILENCE, "AAAA")

Whole answers can be made by a function, which returns the bytes for a question or None for silence:

    dns.script = lambda question: bytes(question.reply().pack())

As a name server that is asked itself, it is `lame` for some names, which it answers without authority, or
`referring`, which it names the servers of a zone below for:

    dns.ns("sub.example.org", "ns1.example.net")
    dns.referring.add("www.sub.example.org")

`dns.questions[("example.org", "MX")]` counts what was asked, by UDP and TCP together. The TTL is 0
unless `ttl` says otherwise, so that nothing is cached.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv6Address
from types import TracebackType

from dnslib import (  # type: ignore[import-untyped]  # dnslib has no types
    AAAA,
    CNAME,
    MX,
    NS,
    QTYPE,
    RCODE,
    RD,
    RR,
    SOA,
    TXT,
    A,
    DNSRecord,
)

Records = tuple[RD, ...]

_MOST_UDP_BYTES = 1232


class Trouble(StrEnum):
    """What may be wrong with the answer for a name."""

    SERVFAIL = "servfail"
    """The server could not find out."""
    REFUSED = "refused"
    """The server does not want to."""
    FORMERR = "formerr"
    """The server does not understand the question."""
    NOTIMP = "notimp"
    """The server cannot answer such questions."""
    SILENCE = "silence"
    """No answer comes."""
    GARBAGE = "garbage"
    """Bytes that are no DNS message come."""
    TRUNCATED = "truncated"
    """The answer by UDP is cut off (TC); that by TCP is whole."""
    TRUNCATED_GARBAGE = "truncated garbage"
    """The answer by UDP is cut off, and by TCP come bytes that are no DNS message."""
    TRUNCATED_SILENCE = "truncated silence"
    """The answer by UDP is cut off, and by TCP comes none."""
    OTHER_ID = "other id"
    """The answer has an id that was not asked with, as one from an attacker has."""


class DnsServer:
    """See the module."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, ttl: int = 0) -> None:
        self.host = host
        self.port = port
        self.ttl = ttl
        self.zone: dict[tuple[str, str], Records] = {}
        self.questions: Counter[tuple[str, str]] = Counter()
        self.tcp_questions = 0
        self.script: Callable[[DNSRecord], bytes | None] | None = None
        self.signed: set[str] = set()
        self.lame: set[str] = set()
        self.referring: set[str] = set()
        self._troubles: dict[tuple[str, str], Trouble] = {}
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """Where it listens, as the settings want it: `ip:port`."""
        return f"{self.host}:{self.port}"

    async def __aenter__(self) -> DnsServer:
        loop = asyncio.get_running_loop()
        for attempt in range(10):
            self._tcp = await asyncio.start_server(self._serve_tcp, self.host, self.port)
            port = self._tcp.sockets[0].getsockname()[1]
            try:
                self._udp, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=(self.host, port)
                )
                self.port = port
                break
            except OSError:
                self._tcp.close()
                if attempt == 9:
                    raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()

    def mx(self, name: str, *exchangers: tuple[int, str]) -> None:
        """Set the MX records of a name: preferences and hosts."""
        self._set(name, "MX", tuple(MX(host, preference) for preference, host in exchangers))

    def a(self, name: str, *addresses: str) -> None:
        """Set the IPv4 addresses of a name."""
        self._set(name, "A", tuple(A(address) for address in addresses))

    def aaaa(self, name: str, *addresses: str) -> None:
        """Set the IPv6 addresses of a name."""
        self._set(name, "AAAA", tuple(AAAA(IPv6Address(address).exploded) for address in addresses))

    def cname(self, name: str, target: str) -> None:
        """Make a name an alias."""
        self._set(name, "CNAME", (CNAME(target),))

    def ns(self, name: str, *hosts: str) -> None:
        """Set the name servers of a zone."""
        self._set(name, "NS", tuple(NS(host) for host in hosts))

    def txt(self, name: str, *texts: str | list[str]) -> None:
        """Set the TXT records of a name, each one string or several."""
        self._set(name, "TXT", tuple(TXT(text) for text in texts))

    def tlsa(self, name: str, *data: bytes) -> None:
        """Set the TLSA records of a name, each as its whole RDATA: well formed or not."""
        self._set(name, "TLSA", tuple(RD(each) for each in data))

    def remove(self, name: str) -> None:
        """Make a name not exist."""
        for key in [key for key in self.zone if key[0] == name]:
            del self.zone[key]

    def trouble(self, name: str, trouble: Trouble, kind: str = "*") -> None:
        """Answer questions for this name, of one type or all, with trouble."""
        self._troubles[name, kind] = trouble

    def heal(self, name: str) -> None:
        """End all trouble with a name."""
        for key in [key for key in self._troubles if key[0] == name]:
            del self._troubles[key]

    def answer(self, request: bytes, *, is_tcp: bool = False) -> bytes | None:
        """Return the response to a request, None for silence."""
        question = DNSRecord.parse(request)
        name = str(question.q.qname).rstrip(".").lower()
        kind = QTYPE.get(question.q.qtype)
        self.questions[name, kind] += 1
        self.tcp_questions += is_tcp
        if self.script:
            return self.script(question)
        trouble = self._troubles.get((name, kind)) or self._troubles.get((name, "*"))
        response = self._response(question, name, kind)
        if name in self.referring:
            return bytes(self._referral(question, name).pack())
        response.header.aa = name not in self.lame
        if trouble is not None:
            return _troubled(response, trouble, is_tcp=is_tcp)
        packed = bytes(response.pack())
        if len(packed) > _MOST_UDP_BYTES and not is_tcp:
            return _troubled(response, Trouble.TRUNCATED, is_tcp=False)
        return packed

    def respond(self, request: bytes, sender: tuple[str, int]) -> None:
        """Answer a request that came by UDP."""
        response = self.answer(request)
        if response is not None and self._udp is not None:
            self._udp.sendto(response, sender)

    def _set(self, name: str, kind: str, records: Records) -> None:
        if records:
            self.zone[name.lower(), kind] = records
        else:
            self.zone.pop((name.lower(), kind), None)

    def _response(self, question: DNSRecord, name: str, kind: str) -> DNSRecord:
        response = question.reply()
        seen: set[str] = set()
        while (name, kind) not in self.zone and (name, "CNAME") in self.zone and name not in seen:
            seen.add(name)
            (alias,) = self.zone[name, "CNAME"]
            response.add_answer(RR(name, QTYPE.CNAME, rdata=alias, ttl=self.ttl))
            name = str(alias.label).rstrip(".").lower()
        records = self.zone.get((name, kind), ())
        for record in records:
            response.add_answer(RR(name, getattr(QTYPE, kind), rdata=record, ttl=self.ttl))
        if not records and name not in seen:
            self._deny(response, name)
        response.header.ad = all(map(self._is_signed, {name, *seen}))
        return response

    def _referral(self, question: DNSRecord, name: str) -> DNSRecord:
        response = question.reply(aa=0)
        while (name, "NS") not in self.zone:
            name = name.partition(".")[2]
        for host in self.zone[name, "NS"]:
            response.add_auth(RR(name, QTYPE.NS, rdata=host, ttl=self.ttl))
        return response

    def _is_signed(self, name: str) -> bool:
        return any(name == zone or name.endswith("." + zone) for zone in self.signed)

    def _deny(self, response: DNSRecord, name: str) -> None:
        times = (1, 3600, 600, 86400, self.ttl)
        soa = SOA("ns.fake.example", "root.fake.example", times)
        response.add_auth(RR(name or ".", QTYPE.SOA, rdata=soa, ttl=self.ttl))
        if not any(known == name or known.endswith("." + name) for known, _ in self.zone):
            response.header.rcode = RCODE.NXDOMAIN

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            size = int.from_bytes(await reader.readexactly(2), "big")
            response = self.answer(await reader.readexactly(size), is_tcp=True)
            if response is not None:
                writer.write(len(response).to_bytes(2, "big") + response)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # whoever asked has gone
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.respond(data, addr)


def _troubled(response: DNSRecord, trouble: Trouble, *, is_tcp: bool) -> bytes | None:
    match trouble:
        case Trouble.SILENCE:
            return None
        case Trouble.GARBAGE:
            return b"\xff" * 40
        case Trouble.TRUNCATED_SILENCE if is_tcp:
            return None
        case Trouble.TRUNCATED_GARBAGE if is_tcp:
            return b"\xff" * 40
        case Trouble.SERVFAIL | Trouble.REFUSED | Trouble.FORMERR | Trouble.NOTIMP:
            response.rr, response.auth = [], []
            response.header.rcode = getattr(RCODE, trouble.name)
        case _ if "truncated" in trouble and not is_tcp:
            response.rr = []
            response.header.tc = 1
        case Trouble.OTHER_ID:
            response.header.id ^= 1
    return bytes(response.pack())
