"""Names that may be sending domains, and what is said of those that may not."""

from __future__ import annotations

import pytest

from app.identity.names import NameRefused, return_path_name, sending_domain, with_parents


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("shop.example", "shop.example"),
        ("Shop.Example.", "shop.example"),
        ("mail.shop.example", "mail.shop.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("shop.co.uk", "shop.co.uk"),
    ],
)
def test_domains_come_out_in_a_labels(written: str, name: str) -> None:
    assert sending_domain(written) == name


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("ada@shop.example", "is an address"),
        ("https://shop.example/", "is a URL"),
        ("shop.example:25", "is a URL"),
        ("192.0.2.1", "IP address"),
        ("[192.0.2.1]", "IP address"),
        ("2001:db8::1", "IP address"),
        ("[IPv6:2001:db8::1]", "IP address"),
        ("example", "one label"),
        ("localhost", "one label"),
        ("", "one label"),
        ("_dmarc.shop.example", "underscore"),
        ("*.shop.example", "wildcard"),
        ("co.uk", "registered"),
        ("com.au", "registered"),
        ("github.io", "registered"),
        ("shop..example", "no domain name"),
        ("-shop.example", "no domain name"),
        ("shop.example2.1", "no domain name"),
        ("sh op.example", "no domain name"),
        ("xn--a.example", "no domain name"),
        (f"{'a' * 64}.example", "no domain name"),
        (".".join(["a" * 60] * 4), "longer than 190"),
    ],
)
def test_what_is_no_sending_domain_is_refused_with_the_reason(written: str, why: str) -> None:
    with pytest.raises(NameRefused, match=why):
        sending_domain(written)


def test_a_return_path_is_a_label_or_a_name_below_the_domain() -> None:
    assert return_path_name("bounces", "shop.example") == "bounces.shop.example"
    assert return_path_name("R.Mail.Shop.Example", "shop.example") == "r.mail.shop.example"
    for written in ("shop.example", "bounces.other.example", "evilshop.example"):
        with pytest.raises(NameRefused, match=r"not below shop\.example"):
            return_path_name(written, "shop.example")


def test_parents_end_before_the_top_label() -> None:
    assert list(with_parents("a.b.shop.example")) == [
        "a.b.shop.example",
        "b.shop.example",
        "shop.example",
    ]
