"""Opening a session: greeting, EHLO, STARTTLS, and all that may go wrong with them."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
import uvloop
from pydantic import ValidationError

from app.events import Category
from app.mail.reply import parse_reply
from app.settings.delivering import DeliverySettings
from tests.fakes.smtp import (
    Action,
    Connection,
    SmtpServer,
    drop,
    hang,
    reply_then_drop,
    reset,
    self_signed,
)
from tests.worker.smtp.parts import SOON, Counting, client, envelope, settings, texts
from worker.outcomes.outcome import Verdict
from worker.routing.hosts import Host
from worker.smtp.session import Features


@pytest.fixture
def secure(server: SmtpServer) -> SmtpServer:
    """A server that offers TLS with a certificate that nobody vouches for."""
    server.certificate = self_signed()
    return server


async def test_a_host_without_ehlo_is_greeted_with_helo(server: SmtpServer) -> None:
    server.reply("EHLO", "502 5.5.1 What?")
    async with client() as sender:
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED
    assert server.sessions[0].commands[:2] == ["EHLO client.example.org", "HELO client.example.org"]
    assert (await server.received(1))[0].parameters == ""


async def test_a_session_ends_with_quit(server: SmtpServer) -> None:
    async with client() as sender:
        await sender.carry(server)
    assert server.sessions[0].verbs()[-1] == "QUIT"


@pytest.mark.parametrize("step", ["GREETING", "EHLO"])
async def test_a_host_that_refuses_the_session_is_left_with_quit(
    server: SmtpServer, step: str
) -> None:
    server.reply(step, "554 5.7.1 No service")
    server.reply("HELO", "554 5.7.1 No service")
    async with client() as sender:
        assert (await sender.outcome(server)).verdict is Verdict.UNREACHED
    assert server.sessions[0].verbs()[-1] == "QUIT"


async def test_a_session_that_nothing_can_be_said_on_is_cut(server: SmtpServer) -> None:
    server.reply("GREETING", "421 4.3.2 Busy")
    async with client() as sender:
        await sender.outcome(server)
    await server.until(lambda: server.sessions[0].is_closed)
    assert server.sessions[0].verbs() == []


async def test_a_refused_starttls_is_followed_by_quit_before_plain_text(secure: SmtpServer) -> None:
    secure.reply("STARTTLS", "454 4.7.0 Not now")
    async with client() as sender:
        assert (await sender.outcome(secure)).verdict is Verdict.DELIVERED
    assert secure.sessions[0].verbs() == ["EHLO", "STARTTLS", "QUIT"]


@pytest.mark.parametrize(
    ("address", "literal"), [("127.0.0.1", "[127.0.0.1]"), ("::1", "[IPv6:::1]")]
)
async def test_a_machine_without_a_full_name_greets_by_its_address(
    address: str, literal: str
) -> None:
    chosen = settings().model_copy(update={"ehlo_name": "localhost"})
    async with SmtpServer(address) as server, client(chosen) as sender:
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED
    assert server.sessions[0].ehlo_name == literal


@pytest.mark.parametrize("name", ["bücher.example", "a b.example", "mx_1.example", "-a.example"])
def test_a_name_that_is_no_host_name_is_not_greeted_with(name: str) -> None:
    with pytest.raises(ValidationError, match="no host name"):
        DeliverySettings(ehlo_name=name)


BAD_GREETINGS = [
    "554 5.7.1 No service",
    "521 Never",
    "421 Busy",
    "450 Later",
    b"220-a\r\n554 b\r\n",
    b"2200 hi\r\n",
    b"250 hi\r\n",
    b"hello\r\n",
    b"\x80\xff\x00\r\n",
    b"x" * 9000,
    b"220-x\r\n" * 10_000,
    b"220 a\r\n220 b\r\n",
    b"220 a\r\n2",
]


@pytest.mark.parametrize("greeting", BAD_GREETINGS)
async def test_a_host_that_does_not_greet_well_is_passed_over(
    server: SmtpServer, second: SmtpServer, greeting: str | bytes
) -> None:
    server.reply("GREETING", greeting)
    async with client() as sender:
        alone = await sender.outcome(server)
        assert alone.verdict is Verdict.UNREACHED
        assert (await sender.outcome([server, second])).verdict is Verdict.DELIVERED
    assert all("MAIL" not in session.verbs() for session in server.sessions)


@pytest.mark.parametrize("action", [drop, reset, reply_then_drop(b"220 par")])
async def test_a_host_that_hangs_up_at_once_is_passed_over(
    server: SmtpServer, second: SmtpServer, action: Action
) -> None:
    server.act("GREETING", action)
    async with client() as sender:
        alone = await sender.outcome(server)
        assert (alone.verdict, alone.category) == (Verdict.UNREACHED, Category.NETWORK)
        assert (await sender.outcome([server, second])).verdict is Verdict.DELIVERED


@pytest.mark.parametrize(("step", "limit"), [("GREETING", "greeting"), ("EHLO", "ehlo")])
async def test_a_host_that_says_nothing_is_passed_over(
    server: SmtpServer, second: SmtpServer, step: str, limit: str
) -> None:
    server.act(step, hang)
    async with client(settings(**{limit: SOON})) as sender:
        assert (await sender.outcome([server, second])).verdict is Verdict.DELIVERED


async def test_a_refused_connection_is_told_plainly(second: SmtpServer) -> None:
    await second.stop()
    async with client() as sender:
        outcome = await sender.outcome(second)
    assert (outcome.verdict, outcome.category) == (Verdict.UNREACHED, Category.NETWORK)
    assert outcome.text == "cannot connect: Connection refused"
    assert outcome.peer is not None
    assert outcome.peer.address == "127.0.0.2"


async def test_a_connection_that_is_not_answered_is_given_up() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as other:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, other):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        async with client(settings(connect=SOON)) as sender:
            way = Host("mx.example.net", "127.0.0.1", 10, full.getsockname()[1])
            attempted = await sender.carrier.carry([way], envelope(), Counting())
    assert attempted.outcomes[0].text == "cannot connect: no answer came in time"


@pytest.mark.parametrize(
    "reply", ["550 5.7.1 No", "421 4.3.2 Busy", "451 Later", b"250-a\r\n550 b\r\n", b"25 x\r\n"]
)
async def test_a_refused_ehlo_and_helo_lead_to_the_next_host(
    server: SmtpServer, second: SmtpServer, reply: str | bytes
) -> None:
    server.reply("EHLO", reply)
    server.reply("HELO", reply)
    async with client() as sender:
        assert (await sender.outcome(server)).verdict is Verdict.UNREACHED
        assert (await sender.outcome([server, second])).verdict is Verdict.DELIVERED


async def test_a_temporary_refusal_of_ehlo_is_not_answered_with_helo(server: SmtpServer) -> None:
    server.reply("EHLO", "450 4.3.2 Later")
    async with client() as sender:
        assert (await sender.outcome(server)).verdict is Verdict.UNREACHED
    assert server.sessions[0].verbs() == ["EHLO", "QUIT"]


async def test_ten_thousand_extensions_are_too_many(server: SmtpServer, second: SmtpServer) -> None:
    server.extensions = [f"X{number}" for number in range(10_000)]
    async with client() as sender:
        assert (await sender.outcome([server, second])).verdict is Verdict.DELIVERED
    assert len(second.mails) == 1


@pytest.mark.parametrize("greeting", ["220 ****************", "220 **** ready"])
async def test_a_masked_greeting_turns_pipelining_off(
    pipelining: SmtpServer, greeting: str
) -> None:
    pipelining.reply("GREETING", greeting)
    seen: list[int] = []

    async def count(connection: Connection) -> None:
        seen.append(len(connection.session.commands))
        await connection.send("550 No")

    pipelining.act("MAIL", count)
    async with client() as sender:
        await sender.carry(pipelining)
    assert "RCPT" not in pipelining.sessions[0].verbs()


def test_what_is_offered_is_read_in_any_case_and_malformed_offers_are_not() -> None:
    greeting = parse_reply([b"220 hello"])
    offers = {"size": " 1000 ", "pipelining": "", "limits": "rcptmax=5 MAILMAX=x RCPTDOMAINMAX"}
    assert Features.of(offers, greeting) == Features(
        pipelining=True, size=True, most_bytes=1000, most_recipients=5
    )
    assert Features.of({"limits": "RCPTMAX=0"}, greeting) == Features()


async def test_tls_is_used_with_any_certificate(secure: SmtpServer) -> None:
    async with client() as sender:
        outcome = await sender.outcome(secure)
    (mail,) = await secure.received(1)
    assert outcome.verdict is Verdict.DELIVERED
    assert outcome.peer is not None
    assert outcome.peer.tls == mail.tls == "TLSv1.3"


async def test_the_host_name_is_sent_for_tls(secure: SmtpServer) -> None:
    names: list[str | None] = []
    assert secure.certificate is not None
    secure.certificate.sni_callback = lambda _object, name, _context: names.append(name)
    async with client() as sender:
        await sender.carry(secure)
    assert names == ["mx.example.net"]


async def test_only_what_is_offered_under_tls_counts(secure: SmtpServer) -> None:
    async def less(connection: Connection) -> None:
        if connection.session.tls:
            await connection.send(b"250-fake.example\r\n250 SIZE 10\r\n")
        else:
            await connection.send(
                b"250-fake.example\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 SIZE 99999\r\n"
            )

    secure.act("EHLO", less)
    async with client() as sender:
        outcome = await sender.outcome(secure)
    assert outcome.verdict is Verdict.BOUNCED
    assert outcome.text.startswith("5.3.4")


async def test_starttls_offered_again_under_tls_is_not_used_again(secure: SmtpServer) -> None:
    secure.extensions.append("STARTTLS")
    async with client() as sender:
        assert (await sender.outcome(secure)).verdict is Verdict.DELIVERED
    assert secure.sessions[0].verbs().count("STARTTLS") == 1


async def _answer_the_handshake_in_clear(connection: Connection) -> None:
    await connection.send("220 Go")
    await connection.some()
    await connection.send("this is no TLS record")
    connection.close()


async def _hang_up_in_handshake(connection: Connection) -> None:
    await connection.send("220 Go")
    await connection.some()
    connection.close()


@pytest.mark.parametrize(
    "action",
    [
        reply_then_drop("220 Go"),
        reply_then_drop("454 4.7.0 TLS not available"),
        reply_then_drop("501 No parameters"),
        reply_then_drop("502 What?"),
        reset,
        drop,
        _hang_up_in_handshake,
        _answer_the_handshake_in_clear,
    ],
)
async def test_a_failed_starttls_leads_to_plain_text(secure: SmtpServer, action: Action) -> None:
    secure.act("STARTTLS", action)
    async with client() as sender:
        outcome = await sender.outcome(secure)
    assert outcome.verdict is Verdict.DELIVERED
    assert outcome.peer is not None
    assert outcome.peer.tls is None
    assert len(secure.sessions) == 2


async def test_a_handshake_that_hangs_leads_to_plain_text(secure: SmtpServer) -> None:
    async def stall(connection: Connection) -> None:
        await connection.send("220 Go")
        await connection.until_gone()

    secure.act("STARTTLS", stall)
    async with client(settings(ehlo=SOON)) as sender:
        assert (await sender.outcome(secure)).verdict is Verdict.DELIVERED


async def test_an_old_tls_version_leads_to_plain_text(secure: SmtpServer) -> None:
    assert secure.certificate is not None
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        secure.certificate.maximum_version = ssl.TLSVersion.TLSv1_1
    async with client() as sender:
        outcome = await sender.outcome(secure)
    assert outcome.verdict is Verdict.DELIVERED
    assert outcome.peer is not None
    assert outcome.peer.tls is None


async def test_a_failure_right_after_the_handshake_leads_to_plain_text(secure: SmtpServer) -> None:
    async def leave_under_tls(connection: Connection) -> None:
        if connection.session.tls:
            connection.close()
        else:
            await connection.send(b"250-fake.example\r\n250 STARTTLS\r\n")

    secure.act("EHLO", leave_under_tls, times=2)
    async with client() as sender:
        outcome = await sender.outcome(secure)
    assert outcome.verdict is Verdict.DELIVERED
    assert outcome.peer is not None
    assert outcome.peer.tls is None


async def test_plain_text_is_remembered_for_the_address(secure: SmtpServer) -> None:
    secure.act("STARTTLS", drop)
    async with client() as sender:
        await sender.carry(secure)
        secure.act("MAIL", reply_then_drop("421 Bye"), times=1)  # so that a fresh session is needed
        assert (await sender.outcome(secure)).verdict is Verdict.DELIVERED
    assert [session.verbs().count("STARTTLS") for session in secure.sessions] == [1, 0, 0]


@pytest.mark.parametrize("extra", [b"250 injected\r\n", b"MAIL FROM:<x@example.org>\r\n", b"2"])
async def test_bytes_smuggled_in_before_tls_end_the_session(
    secure: SmtpServer, second: SmtpServer, extra: bytes
) -> None:
    secure.reply("STARTTLS", b"220 Go\r\n" + extra)
    async with client() as sender:
        alone = await sender.outcome(secure)
        assert (alone.verdict, alone.category) == (Verdict.UNREACHED, Category.PROTOCOL)
        assert (await sender.outcome([secure, second])).verdict is Verdict.DELIVERED
    assert all("MAIL" not in session.verbs() for session in secure.sessions)


async def test_tls_that_ends_without_notice_after_the_dot_leaves_doubt(secure: SmtpServer) -> None:
    secure.act("DOT", reset)
    async with client() as sender:
        outcome = await sender.outcome(secure)
    assert (outcome.verdict, outcome.in_doubt) == (Verdict.DEFERRED, True)


async def test_the_opening_stands_in_the_dialogue(secure: SmtpServer) -> None:
    async with client() as sender:
        attempted = await sender.carry(secure)
    assert texts(attempted, ">")[:3] == [
        "EHLO client.example.org",
        "STARTTLS",
        "EHLO client.example.org",
    ]
    assert texts(attempted, "<")[0] == "220 fake.example ESMTP"
    assert "250 STARTTLS" in texts(attempted, "<")


@pytest.mark.parametrize("with_tls", [False, True])
def test_the_takeover_of_the_transport_works_on_uvloop_too(with_tls: bool) -> None:
    message = b"".join(b"%07d.........\r\n.\r\n" % number for number in range(50_000))

    async def deliver() -> None:
        async with (
            SmtpServer(certificate=self_signed() if with_tls else None) as server,
            client() as sender,
        ):
            for _ in range(2):
                outcome = await sender.outcome(server, envelope(message=message))
                assert outcome.verdict is Verdict.DELIVERED
                assert outcome.peer is not None
                assert outcome.peer.tls == ("TLSv1.3" if with_tls else None)
            assert [mail.content for mail in await server.received(2)] == [message] * 2
            assert len(server.sessions) == 1

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(deliver())
