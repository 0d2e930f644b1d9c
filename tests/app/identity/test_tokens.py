"""Tokens: what is made is read again, whatever hosts do to it, and nobody makes or changes one without the key."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.identity.tokens import LONGEST_DOMAIN, MOST_RECIPIENTS, Tokens
from app.ids import MessageId, ProjectId
from app.mail.address import parse_address
from app.messages import Message, Stream
from tests.fakes.letters import PROJECT, Letter

OLD, NEW = b"old " * 8, b"new " * 8
TOKENS = Tokens([OLD])
OTHERS = (ProjectId("other"), ProjectId("acme-2"))
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

addresses = st.from_regex(r"[A-Za-z0-9äöß.+-]{1,64}@[a-z0-9-]{1,60}\.example", fullmatch=True)
messages = st.builds(
    lambda address, stream, hexes, project: replace(
        Letter(to=(address,), stream=stream, project=ProjectId(project)).message(),
        id=MessageId(f"msg_{hexes}"),
    ),
    addresses,
    st.sampled_from(Stream),
    st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
    st.from_regex(r"[a-z0-9_-]{1,40}", fullmatch=True),
)
MESSAGE = replace(Letter().message(), id=MessageId("msg_0197a3f05b7c7d3e8f1a2b3c4d5e6f70"))


def made(message: Message, index: int = 0, tokens: Tokens = TOKENS) -> str:
    """Return the token for the address of a message if it stood at `index`."""
    addresses = ["x@y.example"] * index + [message.recipients[0].address]
    return tokens.make(message.project, message.stream, message.id, addresses)[index]


@given(messages, st.integers(0, 300), st.data())
def test_a_token_tells_which_recipient_of_which_message_in_any_case(
    message: Message, index: int, data: st.DataObject
) -> None:
    token = made(message, index)
    shouted = "".join(data.draw(st.sampled_from([each, each.upper()])) for each in token)
    for spelling in (token, token.upper(), shouted):
        origin = TOKENS.read(spelling, [*OTHERS, message.project])
        assert origin is not None
        assert (origin.project, origin.stream) == (message.project, message.stream)
        assert (origin.message, origin.index) == (message.id, index)
        assert TOKENS.is_marked(origin, message.recipients[0].address)


@given(messages)
def test_a_token_is_a_short_plain_local_part_and_always_the_same(message: Message) -> None:
    token = made(message)
    assert re.fullmatch(rf"b[{ALPHABET}]{{48}}", token)
    assert made(message, tokens=Tokens([OLD, NEW])) == token
    assert str(parse_address(f"{token}@bounces.example.com")) == f"{token}@bounces.example.com"


def test_the_form_of_a_token_stays_for_mail_comes_back_years_later() -> None:
    origin = TOKENS.read("bsjkqvs4beg5j8tjdkwj1z0qk6jccfa26v6f2cerx3mqh0jgh", [PROJECT])
    assert origin is not None
    assert (origin.stream, origin.message, origin.index) == (Stream.TRANSACTIONAL, MESSAGE.id, 0)
    assert TOKENS.is_marked(origin, "ann@example.org")


@given(messages, st.integers(0, 48), st.integers(1, 31))
def test_a_token_with_another_character_is_none(message: Message, place: int, by: int) -> None:
    token = made(message)
    other = ALPHABET[(ALPHABET.index(token[place]) + by) % len(ALPHABET)]
    changed = token[:place] + other + token[place + 1 :]
    assert TOKENS.read(changed, [message.project]) is None


@given(st.lists(messages, min_size=2, max_size=2), st.integers(1, 47))
def test_halves_of_two_tokens_make_no_third(both: list[Message], place: int) -> None:
    first, second = (made(message) for message in both)
    mixed = first[:place] + second[place:]
    assume(mixed not in (first, second))
    assert TOKENS.read(mixed, [message.project for message in both]) is None


@given(st.text(ALPHABET, min_size=48, max_size=48), st.binary(min_size=32, max_size=32))
def test_who_lacks_the_key_makes_none(guess: str, key: bytes) -> None:
    assume(key != OLD)
    assert TOKENS.read(f"b{guess}", [PROJECT]) is None
    assert TOKENS.read(made(MESSAGE, tokens=Tokens([key])), [PROJECT]) is None


@given(st.text() | st.text(ALPHABET + "-_+ ilou.", max_size=60))
def test_no_other_local_part_is_a_token(text: str) -> None:
    assert TOKENS.read(text, [PROJECT]) is None


@pytest.mark.parametrize("around", ["{}\n", " {}", "{} ", "b{}", "{}0", "_{}", "{}=", "\u212a{}"])
def test_nothing_stands_around_a_token(around: str) -> None:
    token = made(MESSAGE)
    assert TOKENS.read(token, [PROJECT])
    assert TOKENS.read(around.format(token), [PROJECT]) is None


def test_a_token_is_worth_nothing_for_another_project() -> None:
    token = made(MESSAGE)
    assert TOKENS.read(token, OTHERS) is None
    assert TOKENS.read(token, []) is None


def test_tokens_of_a_former_key_are_read_and_new_ones_have_the_new_key() -> None:
    both, old = Tokens([NEW, OLD]), made(MESSAGE)
    origin = both.read(old, [PROJECT])
    assert origin == TOKENS.read(old, [PROJECT])
    assert origin is not None
    assert both.is_marked(origin, "ann@example.org")
    new = made(MESSAGE, tokens=both)
    assert TOKENS.read(new, [PROJECT]) is None
    assert Tokens([NEW]).read(new, [PROJECT])
    assert not Tokens([])
    assert Tokens([]).read(old, [PROJECT]) is None


@given(addresses)
def test_a_token_tells_of_an_address_whether_it_is_its_own(address: str) -> None:
    assume(address.lower() != "ann@example.org")
    origin = TOKENS.read(made(MESSAGE), [PROJECT])
    assert origin is not None
    assert TOKENS.is_marked(origin, "ANN@example.org")
    assert not TOKENS.is_marked(origin, address)


def test_tokens_of_one_message_do_not_show_that_they_belong_together() -> None:
    first, second = made(MESSAGE, 0), made(MESSAGE, 1)
    assert sum(one == other for one, other in zip(first[1:], second[1:], strict=True)) < 12


def test_what_does_not_fit_has_no_token() -> None:
    last = MOST_RECIPIENTS - 1
    origin = TOKENS.read(made(MESSAGE, last), [PROJECT])
    assert origin is not None
    assert (origin.stream, origin.index) == (Stream.TRANSACTIONAL, last)
    with pytest.raises(ValueError, match=r"32769 recipients"):
        made(MESSAGE, MOST_RECIPIENTS)


def test_the_longest_domain_fills_a_path() -> None:
    assert len(f"<{made(MESSAGE)}@{'d' * LONGEST_DOMAIN}>") == 256
