"""Certificates and handshakes of all sorts: mail goes over TLS wherever TLS can be had, and else in plain text."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.fakes.smtp import Connection, SmtpServer, reply_then_drop, self_signed
from tests.worker.smtp.parts import client
from worker.outcomes.outcome import Verdict

Certificate = Callable[[], ssl.SSLContext]


def expired() -> ssl.SSLContext:
    """Return a server whose certificate ended long ago."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    long_ago = datetime.now(UTC) - timedelta(days=1000)
    trustme.CA().issue_cert("mx.example.net", not_after=long_ago).configure_cert(context)
    return context


def of_another_name() -> ssl.SSLContext:
    """Return a server whose certificate is for another host."""
    return self_signed("other.example")


def only_tls_1_2() -> ssl.SSLContext:
    """Return a server that does not know TLS 1.3."""
    context = self_signed()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.mark.parametrize("certificate", [expired, of_another_name, only_tls_1_2])
async def test_a_certificate_that_proves_nothing_still_encrypts(
    server: SmtpServer, certificate: Certificate
) -> None:
    server.certificate = certificate()
    async with client() as sender:
        outcome = await sender.outcome(server)
    (mail,) = await server.received(1)
    assert outcome.peer is not None
    assert outcome.peer.tls == mail.tls
    assert mail.tls in {"TLSv1.2", "TLSv1.3"}
    assert len(server.sessions) == 1


async def test_a_chain_of_certificates_without_end_leads_to_plain_text(
    server: SmtpServer, tmp_path: Path
) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("mx.example.net")
    chain = tmp_path / "chain.pem"
    pems = [leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()]
    chain.write_bytes(b"".join(pems) + authority.cert_pem.bytes() * 400)
    server.certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.certificate.load_cert_chain(chain)
    async with client() as sender:
        outcome = await sender.outcome(server)
    assert outcome.verdict is Verdict.DELIVERED
    assert outcome.peer is not None
    assert outcome.peer.tls is None


async def test_a_host_that_closes_at_starttls_is_not_met_in_plain_text(
    server: SmtpServer, second: SmtpServer
) -> None:
    server.certificate = self_signed()
    server.act("STARTTLS", reply_then_drop("421 4.3.2 Too busy"), times=1)
    async with client() as sender:
        alone = await sender.outcome(server)
        assert alone.verdict is Verdict.UNREACHED
        assert alone.reply is not None
        assert alone.reply.code == 421
        assert (await sender.outcome([server, second])).verdict is Verdict.DELIVERED
        later = await sender.outcome(server)
    assert later.peer is not None
    assert later.peer.tls is not None
    assert len(server.sessions) == 2


async def test_a_host_that_knows_only_helo_under_tls_gets_the_mail_without_extensions(
    server: SmtpServer,
) -> None:
    server.certificate = self_signed()

    async def only_in_clear(connection: Connection) -> None:
        in_clear = b"250-fake\r\n250-SIZE 10\r\n250-PIPELINING\r\n250 STARTTLS\r\n"
        await connection.send("502 What?" if connection.session.tls else in_clear)

    server.act("EHLO", only_in_clear)
    async with client() as sender:
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED
    (mail,) = await server.received(1)
    assert (mail.parameters, mail.tls) == ("", "TLSv1.3")
    assert server.sessions[0].verbs()[:5] == ["EHLO", "STARTTLS", "EHLO", "HELO", "MAIL"]
