"""What is taken for an address, what is refused and why."""

from __future__ import annotations

from unicodedata import is_normalized

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.address import Address, AddressError, Mailbox, parse_address, parse_mailbox


@pytest.mark.parametrize(
    "text",
    [
        "jane@example.com",
        "jane.doe+tag@mail.example.co.uk",
        "o'hara!#$&*/=?^_`{|}~-@example.com",
        "1@2.example",
        f"{'a' * 64}@example.com",
        f"a@{'b' * 63}.{'c' * 63}.{'d' * 63}.example",
        "a@xn--bcher-kva.com",
        "a@r3---sn.example.com",
    ],
)
def test_plain_addresses_come_back_as_they_are(text: str) -> None:
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("a@EXAMPLE.Com", "example.com"),
        ("a@bücher.com", "xn--bcher-kva.com"),
        ("a@BÜCHER.com", "xn--bcher-kva.com"),
        ("a@bu\u0308cher.com", "xn--bcher-kva.com"),
        ("a@XN--BCHER-KVA.com", "xn--bcher-kva.com"),
        ("a@faß.de", "xn--fa-hia.de"),
        ("a@例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("a@пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("a@نامه\u200cای.com", "xn--mgba3gch31f060k.com"),
        ("a@ｅｘａｍｐｌｅ.com", "example.com"),
        ("a@\u212aiosk.example", "kiosk.example"),
        ("a@\u017fhop.example", "shop.example"),
        # Without a dot, i is another letter, and IDNA 2008 knows it as such.
        ("a@\u0131stanbul.example", "xn--stanbul-qfb.example"),
        ("a@\u0130stanbul.example", "xn--istanbul-o0e.example"),
        ("a@xn--fa-hia.de", "xn--fa-hia.de"),
        ("a@xn--mgba3gch31f060k.com", "xn--mgba3gch31f060k.com"),
        ("a@שלום.example", "xn--9dbne9b.example"),
        ("a@mail.bücher.co.uk", "mail.xn--bcher-kva.co.uk"),
    ],
)
def test_domains_become_lower_case_a_labels(text: str, domain: str) -> None:
    assert parse_address(text) == Address("a", domain)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("jürgen@example.com", "jürgen"),
        ("JÜRGEN@example.com", "JÜRGEN"),
        ("用户@example.com", "用户"),
        ("медведь.с-балалайкой@example.com", "медведь.с-балалайкой"),
        ("χρήστης@παράδειγμα.ελ", "χρήστης"),
        ("הדואר@example.com", "הדואר"),
        ("बेचना+जल्दी@example.com", "बेचना+जल्दी"),
        # The joiner is a letter where the script has a use for it.
        ("نامه\u200cای@example.com", "نامه\u200cای"),
        ("크ㄱ🎉@example.com", "크ㄱ🎉"),
        ("ß\u0131ſﬁ@example.com", "ß\u0131ſﬁ"),
        ("xn--bcher-kva@example.com", "xn--bcher-kva"),
        ("ju\u0308rgen@example.com", "jürgen"),
        ("\u212aelvin@example.com", "Kelvin"),
        ("ü" * 32 + "@example.com", "ü" * 32),
        ("u\u0308" * 32 + "@example.com", "ü" * 32),
    ],
)
def test_a_local_part_beyond_ascii_comes_out_in_nfc_and_otherwise_as_it_is(
    text: str, local: str
) -> None:
    assert parse_address(text).local == local
    assert parse_mailbox(f"Jane <{text}>").address.local == local


def test_the_local_part_keeps_its_case() -> None:
    assert parse_address("Jane.DOE@Example.com").local == "Jane.DOE"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no @"),
        ("jane", "has no @"),
        ("jane@", "has no domain"),
        ("jane@.", "has no domain"),
        ("@example.com", "nothing before the @"),
        ("a@b@example.com", "more than one address"),
        ("a@example.com,b@example.com", "more than one address"),
        ("jane@example", "one label"),
        ("jane@example.com.", "no host name"),
        ("jane@.example.com", "cannot be registered"),
        ("jane@-example.com", "cannot be registered"),
        ("jane@exa_mple.com", "cannot be registered"),
        ("jane@xn--a.com", "cannot be registered"),
        ("jane@i❤.ws", "cannot be registered"),
        ("jane@אבa.com", "cannot be registered"),
        ("jane@\u0378.com", "invisible character"),
        ("jane@ü\U0001f600.com", "cannot be registered"),
        ("jane@xn--i-7iq.ws", "cannot be registered"),
        ("jane@xn--bcher-kva-.com", "cannot be registered"),
        ("jane@xn---bbk.com", "not the canonical Punycode"),
        ("jane@xn--0.pt", "Invalid A-label"),
        ("jane@אב.com.", "no host name"),
        ("jane@1a.אב.com", "cannot be registered"),
        ("jane@\u0301a.com", "cannot be registered"),
        ("jane@a\u200cb.com", "cannot be registered"),
        ("jane@exam\ufe0fple.com", "invisible character"),
        ("jane@exam／ple.com", "cannot be registered"),
        ("jane@b＠example.com", "cannot be registered"),
        ("jane@example\u037ecom", "cannot be registered"),
        (f"jane@{'a' * 64}.com", "more than 63 characters"),
        (f"jane@{'ü' * 64}.com", "more than 63 characters"),
        (
            f"{'a' * 22}@{('ü' * 55 + '.') * 4}com",
            "once its domain is encoded",
        ),
        ("jane@127.0.0.1", "no host name"),
        ("jane@1.2.3.0x4", "no host name"),
        ("jane@[127.0.0.1]", "instead of a domain"),
        ("jane@[IPv6:::1]", "instead of a domain"),
        (".jane@example.com", "a dot at the start"),
        ("jane.@example.com", "a dot at the start"),
        ("ja..ne@example.com", "a dot at the start"),
        (f"{'a' * 65}@example.com", "more than 64 octets"),
        (f"{'ü' * 32}a@example.com", "more than 64 octets"),
        (f"{'ü' * 32}@{('a' * 47 + '.') * 4}", "no host name"),
        (f"{'ü' * 32}@{('a' * 47 + '.') * 3}{'a' * 46}", "once its domain is encoded"),
        (f"{'a' * 60}@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.com", "longer than 254"),
        ("user@exa mple.com", "white space"),
        (" jane@example.com", "white space"),
        ("jane@example.com\u00a0", "white space"),
        ("jane\u2003@example.com", "white space"),
        ("jane@exam\u00adple.com", "invisible character"),
        ("jane@exam\u200bple.com", "invisible character"),
        ("jane@example.com\u202e", "invisible character"),
        ("jane\r\n@example.com", "the control character U+000D"),
        ("jane@example.com\n", "the control character U+000A"),
        ("ja\0ne@example.com", "the control character U+0000"),
        ("ja\x7fne@example.com", "the control character U+007F"),
        ("jane@\ud800.com", "the lone surrogate U+D800"),
        ("jane(home)@example.com", "comment"),
        ("jane@example.com (home)", "comment"),
        ("jane@example.com, joe@example.com", "more than one address"),
        ("Jane <jane@example.com>", "angle brackets"),
        ("jane@(x)example.com", "comment"),
        ('"jane doe"@example.com', "quotes its local part"),
        ('"jane"@example.com', "quotes its local part"),
        ("ja\\ne@example.com", "backslash"),
        ("<jane@example.com>", "angle brackets"),
        ("@a.example,@b.example:jane@example.com", "more than one address"),
        ("@a.example:jane@example.com", "group or a route"),
        ("Friends: jane@example.com;", "is a group"),
        ("friends:jane@example.com;", "is a group"),
        ("jane%example.com@relay.example", "percent sign"),
        ("jö hn@example.com", "white space"),
        ("jö\u2028hn@example.com", "white space"),
        ("jö\u0085hn@example.com", "white space"),
        ("jö\u0080hn@example.com", "invisible character"),
        ("jö\u202ehn@example.com", "invisible character"),
        ("jö\u2066hn@example.com", "invisible character"),
        ("jö\u200ehn@example.com", "invisible character"),
        ("jö\u00adhn@example.com", "invisible character"),
        ("jö\ufeffhn@example.com", "invisible character"),
        ("jö\ufe0fhn@example.com", "invisible character"),
        ("jö\u034fhn@example.com", "invisible character"),
        ("jö\u3164hn@example.com", "invisible character"),
        ("jö\u2800hn@example.com", "invisible character"),
        ("jö\ue000hn@example.com", "invisible character"),
        ("jö\u0378hn@example.com", "invisible character"),
        ("jö\U000e0041hn@example.com", "invisible character"),
        ("jö\u200chn@example.com", "invisible character"),
        ("jö\u200dhn@example.com", "invisible character"),
        ("\u200cjöhn@example.com", "invisible character"),
        ("\U00017000\u200d@example.com", "invisible character"),
        ("\u0301jöhn@example.com", "accent without a letter"),
        ("jö.\u0301hn@example.com", "accent without a letter"),
        ("jö＠hn@example.com", "others read as punctuation"),
        ("jö．hn@example.com", "others read as punctuation"),
        ("jö…hn@example.com", "others read as punctuation"),
        ("jö％hn@example.com", "others read as punctuation"),
        ("jö\u037ehn@example.com", "others read as punctuation"),
        ("jö\u00a8hn@example.com", "others read as punctuation"),
        ("jö\u2100hn@example.com", "others read as punctuation"),
        ("אבa@example.com", "mixes directions"),
        ("aאב@example.com", "mixes directions"),
        ("jane.אב@example.com", "mixes directions"),
        ("1אב@example.com", "mixes directions"),
        (".jö@example.com", "a dot at the start"),
        ("jö..hn@example.com", "a dot at the start"),
        ("jö%hn@example.com", "percent sign"),
        ('"jöhn"@example.com', "quotes its local part"),
        ("jö(x)hn@example.com", "comment"),
    ],
)
def test_what_two_parsers_might_read_differently_is_refused_with_the_remedy(
    text: str, reason: str
) -> None:
    with pytest.raises(AddressError) as refused:
        parse_address(text)
    assert reason in refused.value.reason
    assert refused.value.reason.isprintable()
    with pytest.raises(AddressError):
        parse_mailbox(f"Jane <{text}>")


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "a." * 50_000 + "@",
        "a@" + "a." * 50_000,
        "<" * 100_000,
        '"' * 100_000 + "<a@b.c>",
        "\\" * 100_000,
        "(" * 100_000,
        "ü" * 100_000,
        "a@" + "ü" * 100_000,
        " " * 100_000 + "<",
    ],
)
def test_huge_input_is_refused_before_it_is_parsed(text: str) -> None:
    with pytest.raises(AddressError, match="longer than"):
        parse_address(text)
    with pytest.raises(AddressError, match="longer than"):
        parse_mailbox(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("jane@example.com", ""),
        ("  jane@example.com\t", ""),
        ("<jane@example.com>", ""),
        ("Jane <jane@example.com>", "Jane"),
        ("Jane<jane@example.com>", "Jane"),
        ("Jane Q. Public <jane@example.com>", "Jane Q. Public"),
        ("Jürgen Müller <jane@example.com>", "Jürgen Müller"),
        ("山田太郎 <jane@example.com>", "山田太郎"),
        ('"Acme, Inc." <jane@example.com>', "Acme, Inc."),
        (r'"Jane \"JD\" \\ Doe" <jane@example.com>', r'Jane "JD" \ Doe'),
        ('"a@b.example" <jane@example.com>', "a@b.example"),
        ('"<x@y.example>" <jane@example.com>', "<x@y.example>"),
        ('"" <jane@example.com>', ""),
        ("=?utf-8?q?J=C3=BCrgen?= <jane@example.com>", "=?utf-8?q?J=C3=BCrgen?="),
    ],
)
def test_mailboxes_give_name_and_address(text: str, name: str) -> None:
    assert parse_mailbox(text) == Mailbox(name, Address("jane", "example.com"))


@pytest.mark.parametrize(
    "text",
    [
        "Jane <jane@example.com> x",
        "Jane <jane@example.com",
        "Jane jane@example.com>",
        "Jane (work) <jane@example.com>",
        "Acme, Inc. <jane@example.com>",
        "x@y.example <jane@example.com>",
        "x@y.example, Jane <jane@example.com>",
        "Friends: Jane <jane@example.com>",
        "Friends: Jane <jane@example.com>;",
        "<x@y.example> <jane@example.com>",
        "Jane <@a.example:jane@example.com>",
        '"Jane <jane@example.com>',
        'Jane" <jane@example.com>',
        '"Jane" Doe <jane@example.com>',
        '"Jane\\" <jane@example.com>',
        "Jane\r\nBcc: x@y.example <jane@example.com>",
        "Jane\0 <jane@example.com>",
        '"Jane\n" <jane@example.com>',
        "Jane\ud800 <jane@example.com>",
        "<>",
        "",
    ],
)
def test_malformed_mailboxes_are_refused(text: str) -> None:
    with pytest.raises(AddressError) as refused:
        parse_mailbox(text)
    assert refused.value.reason.endswith(".")


def test_no_mailbox_exists_with_a_line_end_in_its_name() -> None:
    with pytest.raises(AddressError, match="control character"):
        Mailbox("Jane\nBcc: x", Address("jane", "example.com"))


@given(
    st.text(max_size=80)
    | st.text(st.sampled_from('a.@<>"\\ (),:ü-%\u0308\u200cنא＠😀'), max_size=80)
    | st.tuples(st.text(max_size=70), st.text(max_size=70)).map("@a.".join)
)
def test_whatever_is_taken_is_one_safe_word_and_parses_to_itself(text: str) -> None:
    try:
        address = parse_mailbox(text).address
    except AddressError:
        return
    assert parse_address(str(address)) == address
    assert address.domain.isascii()
    assert is_normalized("NFC", str(address))
    assert len(address.local.encode()) <= 64
    assert len(str(address).encode()) <= 254
    assert not set(str(address)) & set(' \r\n<>(),;:"\\[]%')
    assert str(address).count("@") == 1
