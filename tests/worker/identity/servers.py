"""The DNS of a test: a resolver that knows who serves which zone, and two name servers that are asked directly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network

from app.identity.records import Record, RecordType
from app.settings.delivering import DnsSettings
from app.settings.domains import DomainSettings
from tests.fakes.dns import DnsServer
from worker.identity.nameservers import NameServers
from worker.routing.resolver import Resolver

LOOPBACK = (ip_network("127.0.0.0/8"),)
QUERY = timedelta(seconds=0.3)


@dataclass(frozen=True)
class Names:
    """Who is asked: `top` is the resolver, `one` and `two` are the name servers of `shop.example`."""

    top: DnsServer
    one: DnsServer
    two: DnsServer
    resolver: Resolver
    settings: DomainSettings

    @property
    def servers(self) -> NameServers:
        """What asks them."""
        return NameServers(self.resolver, self.settings, QUERY.total_seconds())

    def publish(self, *records: Record) -> None:
        """Put records into the zone of both name servers."""
        for server in (self.one, self.two):
            for record in records:
                put(server, record)


def put(server: DnsServer, record: Record) -> None:
    """Put one record into the zone of one name server."""
    if record.type is RecordType.MX:
        preference, _, host = record.value.partition(" ")
        server.mx(record.name, (int(preference), host))
    else:
        cut = [record.value[start : start + 255] for start in range(0, len(record.value), 255)]
        server.txt(record.name, cut)


@asynccontextmanager
async def name_servers(**settings: object) -> AsyncIterator[Names]:
    """Run the servers; `shop.example` is served by ns1 and ns2, everything above by ns1 alone."""
    async with (
        DnsServer() as top,
        DnsServer("127.0.0.2") as one,
        DnsServer("127.0.0.3", one.port) as two,
    ):
        top.ns("example", "ns1.example.net")
        top.ns("shop.example", "ns1.example.net", "ns2.example.net")
        top.a("ns1.example.net", one.host)
        top.a("ns2.example.net", two.host)
        wanted = {
            "nameserver_port": one.port,
            "allowed_networks": LOOPBACK,
            "spf": ("include:spf.mail.example.net",),
            "return_path_host": "in.mail.example.net",
            **settings,
        }
        dns = DnsSettings(nameservers=(top.address,), query_timeout=QUERY)
        async with Resolver(dns) as resolver:
            yield Names(top, one, two, resolver, DomainSettings.model_validate(wanted))
