"""Receivers with real TLS, policies for them, and what became of a mail under one."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256

import trustme
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from app.events import Peer, TlsPolicy
from tests.fakes.smtp import SmtpServer
from tests.worker.smtp.parts import Client, Counting, client, envelope, settings
from worker.outcomes.outcome import Outcome, Verdict
from worker.policies.policy import Policy, Proof
from worker.routing.answers import Tlsa
from worker.routing.hosts import Host
from worker.smtp.attempt import Attempted
from worker.smtp.tls import Tls

NAME = "mx.example.net"
AUTHORITY = trustme.CA()
BETWEEN = AUTHORITY.create_child_ca()
LEAF = BETWEEN.issue_cert(NAME)
LONG_AGO = datetime(2019, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)

OPPORTUNISTIC = Policy()
VERIFIED = Policy(TlsPolicy.VERIFIED, Proof.CERTIFICATE)
MTA_STS = Policy(TlsPolicy.MTA_STS, Proof.CERTIFICATE)
TESTING = Policy(TlsPolicy.MTA_STS_TESTING)
ENCRYPTED = Policy(TlsPolicy.DANE, Proof.ENCRYPTION)
REQUIRETLS = Policy(TlsPolicy.REQUIRETLS, Proof.CERTIFICATE, requires_extension=True)


def context(leaf: trustme.LeafCert, newest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    if newest is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that is what it is here for
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = newest
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def der(pem: trustme.Blob) -> bytes:
    return load_pem_x509_certificate(pem.bytes()).public_bytes(Encoding.DER)


def dane(*records: Tlsa, base: str = NAME) -> Policy:
    return Policy(TlsPolicy.DANE, Proof.TLSA, base, (base,), records)


OWN = Tlsa(3, 0, 1, sha256(der(LEAF.cert_chain_pems[0])).digest())
OWN_AUTHORITY = Tlsa(2, 0, 1, sha256(der(BETWEEN.cert_pem)).digest())
OTHER = Tlsa(3, 1, 1, b"o" * 32)
PINNED = dane(OTHER, OWN)


def short(policy: Policy) -> str:
    return f"{policy.origin}-{policy.proof}"


SAFE = [VERIFIED, MTA_STS, ENCRYPTED, PINNED, REQUIRETLS]
"""Policies that want TLS."""
BY_AUTHORITY = [VERIFIED, MTA_STS, REQUIRETLS]


@asynccontextmanager
async def sending(tls: Tls) -> AsyncIterator[Client]:
    async with client(settings(), tls) as sender:
        yield sender


def host(server: SmtpServer, policy: Policy, name: str = NAME) -> Host:
    return Host(name, server.host, 10, server.port, policy)


async def carry(sender: Client, *hosts: Host) -> Attempted:
    return await sender.carrier.carry(hosts, envelope(), Counting())


async def attempt(tls: Tls, *hosts: Host) -> Outcome:
    async with sending(tls) as sender:
        (outcome,) = (await carry(sender, *hosts)).outcomes
        return outcome


def said(server: SmtpServer) -> set[str]:
    return {verb for session in server.sessions for verb in session.verbs()}


def peer_of(outcome: Outcome) -> Peer:
    assert outcome.peer
    return outcome.peer


async def is_refused(server: SmtpServer, tls: Tls, policy: Policy) -> Outcome:
    """Try a host, which must not be told of any mail, and return what became of it."""
    outcome = await attempt(tls, host(server, policy))
    assert outcome.verdict is Verdict.INSECURE
    assert policy.origin in outcome.text
    assert peer_of(outcome).policy is policy.origin
    assert not said(server) & {"MAIL", "RCPT", "DATA"}
    return outcome
