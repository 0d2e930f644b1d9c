"""Tickets: whoever has one may leave one list; nobody can make or change one, or read an address from it."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from hypothesis import given
from hypothesis import strategies as st

from app.ids import MessageId, ProjectId
from app.messages import Stream
from app.projects.tickets import KEY_BYTES, Ticket, Tickets

KEY, OTHER = bytes(range(KEY_BYTES)), bytes(reversed(range(KEY_BYTES)))
TICKETS = Tickets((KEY,))
TICKET = Ticket(
    project=ProjectId("shop"),
    stream=Stream.BULK,
    message=MessageId("msg_0197a3f05b7c7d3e8f1a2b3c4d5e6f70"),
    index=99,
    sender="shop.example",
    address="ada.lovelace@example.com",
)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=120)
tickets = st.builds(
    Ticket,
    project=texts.map(ProjectId),
    stream=st.sampled_from(Stream),
    message=st.binary(min_size=16, max_size=16).map(lambda found: MessageId(f"msg_{found.hex()}")),
    index=st.integers(0, 2**24 - 1),
    sender=texts,
    address=texts,
)


@given(tickets)
def test_what_was_sealed_is_read_again(ticket: Ticket) -> None:
    token = TICKETS.seal(ticket)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert TICKETS.read(token) == ticket


def test_a_ticket_is_short_and_always_the_same() -> None:
    assert len(TICKETS.seal(TICKET)) <= 120
    assert TICKETS.seal(TICKET) == TICKETS.seal(TICKET)


@given(st.data())
def test_a_token_that_was_changed_anywhere_is_worth_nothing(data: st.DataObject) -> None:
    token = TICKETS.seal(TICKET)
    place = data.draw(st.integers(0, len(token) - 1))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/. é"
    other = data.draw(st.sampled_from(alphabet).filter(lambda found: found != token[place]))
    assert TICKETS.read(token[:place] + other + token[place + 1 :]) is None
    assert TICKETS.read(token[:place]) is None


@given(st.text(max_size=200) | st.text("AaBb09-_", max_size=1_200))
def test_anything_else_is_worth_nothing(token: str) -> None:
    assert TICKETS.read(token) is None


def test_only_the_one_spelling_is_taken() -> None:
    token = TICKETS.seal(TICKET)
    for other in (f"{token}=", f"{token}==", f" {token}", f"{token}\n", token.replace("_", "/")):
        assert other == token or TICKETS.read(other) is None


def test_a_token_tells_nothing_of_whom_it_is_for() -> None:
    octets = urlsafe_b64decode(TICKETS.seal(TICKET) + "===")
    for secret in ("ada", "example", "shop", "msg_", TICKET.message[4:12]):
        assert secret.encode() not in octets.lower()
    assert bytes.fromhex(TICKET.message[4:]) not in octets


def test_tickets_of_a_former_key_are_read_and_new_ones_are_made_with_the_current_one() -> None:
    old = TICKETS.seal(TICKET)
    rotated = Tickets((OTHER, KEY))
    assert rotated.read(old) == TICKET
    assert rotated.seal(TICKET) == Tickets((OTHER,)).seal(TICKET)
    assert Tickets((OTHER,)).read(old) is None
    assert Tickets(()).read(old) is None


def test_a_ticket_of_another_version_is_worth_nothing() -> None:
    octets = urlsafe_b64decode(TICKETS.seal(TICKET) + "===")
    changed = urlsafe_b64encode(b"\x02" + octets[1:]).rstrip(b"=").decode()
    assert TICKETS.read(changed) is None
