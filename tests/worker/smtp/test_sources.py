"""Sessions from a source: its address, its name in EHLO, and what a missing address comes to."""

from __future__ import annotations

import socket

import pytest

from app.events import Category
from tests.fakes.smtp import SmtpServer
from tests.worker.smtp.parts import Counting, client, envelope, host
from worker.outcomes.outcome import Verdict
from worker.sites.sources import Source

FIRST = Source("out1", "out1.example.com", ipv4="127.0.0.2")
SECOND = Source("out2", "out2.example.com", ipv4="127.0.0.3")
FOREIGN = Source("gone", "gone.example.com", ipv4="192.0.2.1")


def seen(server: SmtpServer) -> list[tuple[str, str]]:
    return [(session.peer, session.ehlo_name) for session in server.sessions]


async def test_the_host_sees_the_address_and_the_name_of_the_source(server: SmtpServer) -> None:
    async with client() as sender:
        for source in (FIRST, SECOND):
            (outcome,) = (await sender.carry(server, source=source)).outcomes
            assert outcome.verdict is Verdict.DELIVERED
            assert outcome.peer is not None
            assert (outcome.peer.source, outcome.peer.source_address) == (source.name, source.ipv4)
    assert seen(server) == [("127.0.0.2", "out1.example.com"), ("127.0.0.3", "out2.example.com")]


async def test_without_a_source_the_system_picks_the_address(server: SmtpServer) -> None:
    async with client() as sender:
        outcome = await sender.outcome(server)
    assert seen(server) == [("127.0.0.1", "client.example.org")]
    assert outcome.peer is not None
    assert (outcome.peer.source, outcome.peer.source_address) == (None, None)


async def test_a_kept_session_serves_its_own_source_only(server: SmtpServer) -> None:
    async with client() as sender:
        for source in (FIRST, SECOND, FIRST, SECOND, None, None):
            await sender.carry(server, source=source)
    assert [session.peer for session in server.sessions] == ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    assert [mail.session for mail in server.mails] == [1, 2, 1, 2, 3, 3]


async def test_an_address_that_the_machine_lacks_is_trouble_of_our_own(server: SmtpServer) -> None:
    async with client() as sender:
        (outcome,) = (await sender.carry(server, source=FOREIGN)).outcomes
    assert (outcome.verdict, outcome.category) == (Verdict.UNREACHED, Category.LOCAL)
    assert "192.0.2.1" in outcome.text
    assert not server.sessions


async def test_a_host_is_not_blamed_for_an_address_that_the_machine_lacks(
    server: SmtpServer, second: SmtpServer
) -> None:
    async with client() as sender:
        await sender.carry(server, source=FOREIGN)
        (outcome,) = (await sender.carry([server, second], source=FIRST)).outcomes
    assert outcome.peer is not None
    assert outcome.peer.address == server.host


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
async def test_each_family_has_its_address() -> None:
    try:
        server = await SmtpServer("::1").__aenter__()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    source = Source("out1", "out1.example.com", ipv4="127.0.0.2", ipv6="::1")
    async with SmtpServer() as other, client() as sender:
        for each in (server, other):
            attempted = await sender.carrier.carry(
                source.reachable([host(each)]), envelope(), Counting(), source
            )
            assert attempted.outcomes[0].verdict is Verdict.DELIVERED
    await server.stop()
    assert (seen(server)[0][0], seen(other)[0][0]) == ("::1", "127.0.0.2")
