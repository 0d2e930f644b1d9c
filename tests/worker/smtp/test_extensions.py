"""What a host offers is used where it is needed and offered, and nowhere else."""

from __future__ import annotations

import pytest

from app.events import Category
from tests.fakes.smtp import Connection, SmtpServer, hang, self_signed
from tests.worker.smtp.parts import MESSAGE, SOON, client, envelope, settings
from worker.outcomes.outcome import Verdict
from worker.smtp.envelope import Envelope

EIGHT_BITS = "Subject: hello\r\n\r\nGrüße\r\n".encode()
UTF8_HEADER = "Subject: Grüße\r\n\r\nhello\r\n".encode()
UTF8_ADDRESS = "jürgen@xn--bcher-kva.example"
SIZE = "SIZE 50000000"


def mail(needs: str) -> Envelope:
    """Return a mail that cannot go without this extension."""
    by_needs = {
        "8BITMIME": envelope(message=EIGHT_BITS),
        "SMTPUTF8 recipient": envelope(UTF8_ADDRESS),
        "SMTPUTF8 sender": envelope(mail_from=UTF8_ADDRESS),
        "SMTPUTF8 header": envelope(message=UTF8_HEADER),
    }
    return by_needs[needs]


NEEDS = {
    "8BITMIME": "5.6.3",
    "SMTPUTF8 recipient": "5.6.7",
    "SMTPUTF8 sender": "5.6.7",
    "SMTPUTF8 header": "5.6.7",
}


async def test_an_ascii_mail_asks_for_nothing_though_all_is_offered(server: SmtpServer) -> None:
    server.extensions += ["SMTPUTF8", "CHUNKING", "DSN", "BINARYMIME", "REQUIRETLS", "AUTH PLAIN"]
    async with client() as sender:
        await sender.carry(server)
    (found,) = await server.received(1)
    assert found.parameters == f"SIZE={len(MESSAGE)}"
    assert server.sessions[0].verbs()[:4] == ["EHLO", "MAIL", "RCPT", "DATA"]


async def test_eight_bit_bytes_are_announced(server: SmtpServer) -> None:
    async with client() as sender:
        assert (await sender.outcome(server, mail("8BITMIME"))).verdict is Verdict.DELIVERED
    (found,) = await server.received(1)
    assert found.parameters.split() == [f"SIZE={len(EIGHT_BITS)}", "BODY=8BITMIME"]
    assert found.content == EIGHT_BITS


@pytest.mark.parametrize(
    ("needs", "parameters"),
    [
        ("SMTPUTF8 recipient", ["SMTPUTF8"]),
        ("SMTPUTF8 sender", ["SMTPUTF8"]),
        ("SMTPUTF8 header", ["BODY=8BITMIME", "SMTPUTF8"]),
    ],
)
async def test_utf8_in_addresses_or_header_is_announced_and_sent_as_it_is(
    server: SmtpServer, needs: str, parameters: list[str]
) -> None:
    server.extensions = ["PIPELINING", "8BITMIME", "smtputf8"]
    wanted = mail(needs)
    async with client() as sender:
        attempted = await sender.carry(server, wanted)
    (found,) = await server.received(1)
    assert attempted.outcomes[0].verdict is Verdict.DELIVERED
    assert found.parameters.split() == parameters
    # The server reads commands as Latin-1.
    assert found.recipients[0].encode("latin-1").decode() == wanted.recipients[0]
    assert found.mail_from.encode("latin-1").decode() == wanted.mail_from
    assert found.content == wanted.message
    assert f"RCPT TO:<{wanted.recipients[0]}>" in [line.text for line in attempted.dialogue]


async def test_a_body_in_utf8_needs_no_smtputf8(server: SmtpServer) -> None:
    server.extensions = ["8BITMIME"]
    body = "Subject: =?utf-8?q?hi?=\r\n\r\nSubject: Grüße\r\n\r\nä\r\n".encode()
    async with client() as sender:
        outcome = await sender.outcome(server, envelope(message=body))
    assert outcome.verdict is Verdict.DELIVERED


@pytest.mark.parametrize("needs", NEEDS)
async def test_what_a_host_does_not_offer_is_not_sent_to_it(server: SmtpServer, needs: str) -> None:
    server.extensions = ["PIPELINING", SIZE]
    async with client() as sender:
        outcome = await sender.outcome(server, mail(needs))
    assert (outcome.verdict, outcome.category) == (Verdict.BOUNCED, Category.CONTENT)
    assert outcome.text.startswith(f"{NEEDS[needs]} ")
    assert "MAIL" not in server.sessions[0].verbs()


async def test_what_a_host_lacks_is_not_looked_for_in_a_fresh_session_with_it(
    server: SmtpServer,
) -> None:
    server.extensions = ["PIPELINING", "SIZE 100"]
    async with client() as sender:
        await sender.carry(server)
        outcome = await sender.outcome(server, envelope(message=b"x" * 101))
        assert outcome.text.startswith("5.3.4 ")
        await sender.carry(server)
    assert [found.session for found in server.mails] == [1, 1]
    assert len(server.sessions) == 1


@pytest.mark.parametrize("needs", NEEDS)
async def test_a_host_that_offers_what_the_first_one_lacks_gets_the_mail(
    server: SmtpServer, second: SmtpServer, needs: str
) -> None:
    server.extensions = ["PIPELINING"]
    second.extensions.append("SMTPUTF8")
    async with client() as sender:
        assert (await sender.outcome([server, second], mail(needs))).verdict is Verdict.DELIVERED


async def test_a_host_that_takes_larger_messages_gets_the_mail(
    server: SmtpServer, second: SmtpServer
) -> None:
    server.extensions = ["SIZE 10"]
    async with client() as sender:
        assert (await sender.outcome([server, second])).verdict is Verdict.DELIVERED


@pytest.mark.parametrize("needs", NEEDS)
@pytest.mark.parametrize("is_first", [False, True])
async def test_what_a_host_lacks_is_no_bounce_while_another_only_asks_for_patience(
    server: SmtpServer, second: SmtpServer, needs: str, is_first: bool
) -> None:
    server.extensions = ["PIPELINING"]
    second.extensions.append("SMTPUTF8")
    second.reply("MAIL", "451 4.3.2 Too busy")
    hosts = [second, server] if is_first else [server, second]
    async with client() as sender:
        outcome = await sender.outcome(hosts, mail(needs))
    assert outcome.verdict is Verdict.DEFERRED


async def test_what_a_host_lacks_is_no_bounce_while_another_is_too_slow(
    server: SmtpServer, second: SmtpServer
) -> None:
    server.extensions = ["PIPELINING"]
    second.act("GREETING", hang)
    async with client(settings(attempt=SOON)) as sender:
        outcome = await sender.outcome([server, second], mail("SMTPUTF8 recipient"))
    assert (outcome.verdict, outcome.text[:5]) == (Verdict.DEFERRED, "5.6.7")


@pytest.mark.parametrize("most", [None, 1])
@pytest.mark.parametrize("pipelining", [False, True])
async def test_one_address_beyond_ascii_costs_the_others_nothing_where_it_cannot_be_named(
    server: SmtpServer, most: int | None, pipelining: bool
) -> None:
    server.extensions = ["PIPELINING"] if pipelining else []
    server.extensions += [f"LIMITS RCPTMAX={most}"] if most else []
    wanted = envelope("ann@x.example", UTF8_ADDRESS, "bob@x.example")
    async with client() as sender:
        attempted = await sender.carry(server, wanted)
        (alone,) = (await sender.carry(server, envelope(UTF8_ADDRESS))).outcomes
    first, unfit, last = attempted.outcomes
    assert first.verdict is last.verdict is Verdict.DELIVERED
    assert (unfit.verdict, alone.verdict) == (Verdict.BOUNCED, Verdict.BOUNCED)
    assert unfit.text == alone.text
    assert unfit.text.startswith("5.6.7 the address is not ASCII")
    named = [found.recipients for found in server.mails]
    both = ("ann@x.example", "bob@x.example")
    assert named == ([both] if most is None else [(each,) for each in both])
    assert {found.parameters for found in server.mails} == {""}
    assert len(server.sessions) == 1


async def test_an_address_that_one_host_cannot_be_told_goes_to_another_alone(
    server: SmtpServer, second: SmtpServer
) -> None:
    server.extensions = ["PIPELINING"]
    second.extensions = ["SMTPUTF8"]
    async with client() as sender:
        attempted = await sender.carry([server, second], envelope("ann@x.example", UTF8_ADDRESS))
    assert [outcome.verdict for outcome in attempted.outcomes] == [Verdict.DELIVERED] * 2
    assert [found.recipients for found in server.mails] == [("ann@x.example",)]
    assert [found.recipients[0].encode("latin-1").decode() for found in second.mails] == [
        UTF8_ADDRESS
    ]


async def test_only_the_transaction_that_names_it_asks_for_utf8(server: SmtpServer) -> None:
    server.extensions = ["SMTPUTF8", "LIMITS RCPTMAX=1"]
    async with client() as sender:
        await sender.carry(server, envelope("ann@x.example", UTF8_ADDRESS))
    assert [found.parameters for found in server.mails] == ["", "SMTPUTF8"]


@pytest.mark.parametrize("is_first", [False, True])
async def test_what_a_host_lacks_is_no_bounce_while_another_is_down(
    server: SmtpServer, second: SmtpServer, is_first: bool
) -> None:
    server.extensions = ["PIPELINING"]
    await second.stop()
    hosts = [second, server] if is_first else [server, second]
    async with client() as sender:
        outcome = await sender.outcome(hosts, mail("SMTPUTF8 recipient"))
    assert (outcome.verdict, outcome.text[:5]) == (Verdict.DEFERRED, "5.6.7")


async def test_extensions_offered_in_clear_only_are_not_used_under_tls(server: SmtpServer) -> None:
    server.certificate = self_signed()

    async def only_in_clear(connection: Connection) -> None:
        offers = "250 fake" if connection.session.tls else "250-fake\r\n250-STARTTLS\r\n250 "
        more = "" if connection.session.tls else "SIZE\r\n250-8BITMIME\r\n250 SMTPUTF8"
        await connection.send(offers.replace("250 ", "250-", 1) + more if more else offers)

    server.act("EHLO", only_in_clear)
    async with client() as sender:
        assert (await sender.outcome(server, mail("8BITMIME"))).text.startswith("5.6.3 ")
        assert (await sender.outcome(server)).verdict is Verdict.DELIVERED
    (found,) = await server.received(1)
    assert found.parameters == ""


@pytest.mark.parametrize(
    "offers",
    [
        ["size 1000", "pipelining", "8bitmime"],
        ["SIZE 1000  ", "PIPELINING ", "8BITMIME\t"],
        ["SIZE 5", "SIZE 1000", "PIPELINING", "PIPELINING", "8BITMIME", "8BITMIME"],
        ["X-A=B", "SIZE 1000", "", "  ", "8BITMIME", "\x80\xff", "PIPELINING"],
    ],
)
async def test_offers_are_read_in_any_case_twice_and_among_nonsense(
    pipelining: SmtpServer, offers: list[str]
) -> None:
    pipelining.extensions = offers
    async with client() as sender:
        taken = await sender.outcome(pipelining, mail("8BITMIME"))
        refused = await sender.outcome(pipelining, envelope(message=b"x" * 1001))
    assert taken.verdict is Verdict.DELIVERED
    assert refused.text.startswith("5.3.4 ")


@pytest.mark.parametrize(
    "offer", ["LIMITS", "LIMITS RCPTMAX=0 MAILMAX=-1 RCPTDOMAINMAX=x", "LIMITS =;=", "LIMITS 5"]
)
async def test_limits_that_name_no_number_are_no_limits(server: SmtpServer, offer: str) -> None:
    server.extensions.append(offer)
    async with client() as sender:
        for _ in range(2):
            attempted = await sender.carry(server, envelope("a@x.example", "b@x.example"))
            assert {outcome.verdict for outcome in attempted.outcomes} == {Verdict.DELIVERED}
    assert [len(found.recipients) for found in server.mails] == [2, 2]
    assert len(server.sessions) == 1


@pytest.mark.parametrize(
    ("limits", "sessions"),
    [
        ("MAILMAX=1", [1, 2, 3]),
        ("RCPTDOMAINMAX=1", [1, 2, 3]),
        ("RCPTDOMAINMAX=2 MAILMAX=9", [1, 1, 2]),
        ("rcptdomainmax=9 mailmax=2", [1, 1, 2]),
    ],
)
async def test_a_session_ends_where_the_host_says(
    server: SmtpServer, limits: str, sessions: list[int]
) -> None:
    server.extensions.append(f"LIMITS {limits}")
    async with client() as sender:
        for number in range(3):
            await sender.carry(server, envelope(f"user@x{number}.example"))
    assert [found.session for found in server.mails] == sessions
    assert server.sessions[0].verbs()[-1] == "QUIT"


async def test_recipients_beyond_a_stated_limit_of_mails_go_on_in_a_fresh_session(
    server: SmtpServer,
) -> None:
    server.extensions.append("LIMITS RCPTMAX=1 MAILMAX=2")
    addresses = [f"user{number}@x.example" for number in range(3)]
    async with client() as sender:
        attempted = await sender.carry([server, server], envelope(*addresses))
    assert {outcome.verdict for outcome in attempted.outcomes} == {Verdict.DELIVERED}
    assert [found.session for found in server.mails] == [1, 1, 2]


async def test_an_enhanced_code_is_read_though_none_were_promised(server: SmtpServer) -> None:
    server.extensions = []
    server.reply("RCPT", "550 5.1.1 No such user")
    async with client() as sender:
        outcome = await sender.outcome(server)
    assert outcome.reply is not None
    assert outcome.reply.enhanced == "5.1.1"
