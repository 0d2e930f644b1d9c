"""What two independent parsers say of the addresses that we take: email-validator and the standard library."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_string
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import SMTPUTF8
from email.utils import getaddresses

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import assume, example, given
from hypothesis import strategies as st

from app.mail.address import Address, AddressError, Mailbox, parse_address, parse_mailbox
from app.mail.mime.compose import compose
from tests.app.mail.letters import LETTER, names

# An address, whose word on it differs, what the one that refuses says, and why we keep to ours.
DIFFERENCES = [
    ("a%b.example@example.com", "we refuse", "percent sign", "relays read it as a route"),
    ("1@2.3.4.5e", "we refuse", "no host name", "other libraries read a number at the end as IPv4"),
    ("ja\u3164ne@example.com", "we refuse", "invisible", "letters without a glyph hide an address"),
    ("ja\ufe0fne@example.com", "we refuse", "invisible", "selectors of a glyph hide one as well"),
    ("ja．ne@example.com", "we refuse", "punctuation", "whoever folds it sends to another mailbox"),
    ("ja.\u0301ne@example.com", "we refuse", "accent", "it joins the dot, and is no atom any more"),
    ("אבjane@example.com", "we refuse", "directions", "RFC 5893: it is shown in another order"),
    ("jane@example.test", "we take", "special-use", "tests and closed networks have such hosts"),
    ("نامه\u200cای@example.com", "we take", "unsafe", "RFC 5892: Persian needs the joiner there"),
]


def ours(text: str) -> tuple[str, str] | str:
    """Return local part and domain, or why it is refused."""
    try:
        address = parse_address(text)
    except AddressError as error:
        return error.reason
    return address.local, address.domain


def theirs(text: str) -> tuple[str, str] | str:
    """Return the same of email-validator, which may ask nothing of the DNS."""
    try:
        found = validate_email(text, allow_smtputf8=True, check_deliverability=False)
    except EmailNotValidError as error:
        return str(error)
    return found.local_part, found.ascii_domain or ""


@pytest.mark.parametrize(("text", "who", "says", "why"), DIFFERENCES)
def test_where_we_differ_from_the_other_parser_we_mean_to(
    text: str, who: str, says: str, why: str
) -> None:
    refusing, taking = (ours, theirs) if who == "we refuse" else (theirs, ours)
    assert says in refusing(text)
    assert isinstance(taking(text), tuple)
    assert why


def is_meant(mine: tuple[str, str] | str, other: tuple[str, str] | str) -> bool:
    """Tell whether one of the differences above explains that only one of the parsers refuses an address."""
    who, reason = ("we refuse", mine) if isinstance(mine, str) else ("we take", other)
    return any(who == each and says in reason for _, each, says, _ in DIFFERENCES)


letters = st.sampled_from(
    "abcXYZ019.-_+%'\"<>(),:; @üßıİκ漢क्नעא١٠\u0308\u0301\u200c\u200dﬁ＠．。😀\u00ad\u3164\u037e"
)
words = st.text(letters, min_size=1, max_size=8) | st.text(min_size=1, max_size=3)
tops = st.sampled_from(["com", "example", "com.", "c0m", "0com", "test", "1", "xn--p1ai", "рф", ""])
addresses = st.tuples(words, words, tops).map(lambda each: f"{each[0]}@{each[1]}.{each[2]}")


@given(addresses)
@example("K\u212a@\u212a.com")
@example("u\u0308@u\u0308.com")
@example("a\u037e@example.com")
@example("=\u0338@example.com")
@example("a@xn--bcher-kva.com")
@example("a@xn---bbk.com")
@example("a@faß.de")
@example("a@1a.אב.com")
def test_both_parsers_take_the_same_addresses_and_read_them_alike(text: str) -> None:
    mine, other = ours(text), theirs(text)
    if isinstance(mine, tuple) and isinstance(other, tuple):
        assert mine == other
    elif isinstance(mine, tuple) or isinstance(other, tuple):
        assert is_meant(mine, other), (mine, other)


quoted_names = names.map(lambda name: name.replace("\\", "\\\\").replace('"', '\\"'))
written = st.builds('"{}" <{}>'.format, quoted_names, addresses) | st.builds(
    "{} <{}>".format, st.text(st.sampled_from("Jané D. 漢"), max_size=9), addresses
)


@given(written)
@example("Jane <jürgen@bücher.example>")
@example('"<x@y.example>, (z)" <漢字@例え.テスト>')
@example("<o'hara+a=b/c@example.com>")
def test_each_mailbox_that_is_taken_is_read_alike_from_the_mail(text: str) -> None:
    try:
        box = parse_mailbox(text)
    except AddressError:
        assume(False)
    assert_read_alike(box)


@given(names, st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12))
def test_local_parts_in_any_script_are_read_alike_from_the_mail(name: str, local: str) -> None:
    try:
        box = Mailbox(name, parse_address(f"{local}@xn--bcher-kva.example"))
    except AddressError:
        assume(False)
    assert_read_alike(box)


def assert_read_alike(box: Mailbox) -> None:
    other = Mailbox("", Address("jane", "example.net"))
    octets = compose(replace(LETTER, sender=box, to=(other, box), reply_to=(box, other)), "seed")
    # RFC 6532 §3.2: a header is UTF-8.
    message = message_from_string(octets.decode(), policy=SMTPUTF8)
    assert isinstance(message, EmailMessage)
    assert [each.addr_spec for each in message["From"].addresses] == [str(box.address)]
    both = [str(other.address), str(box.address)]
    assert [each.addr_spec for each in message["To"].addresses] == both
    assert [each.addr_spec for each in message["Reply-To"].addresses] == both[::-1]
    (address,) = message["From"].addresses
    assert (address.username, address.domain) == (box.address.local, box.address.domain)
    # That parser keeps white space between encoded words, against RFC 2047 §6.2.
    field = octets.decode().partition("From:")[2].partition("\r\nTo:")[0].replace("\r\n", "")
    ((shown, spec),) = getaddresses([field])
    assert (str(make_header(decode_header(shown))), spec) == (box.name, str(box.address))
