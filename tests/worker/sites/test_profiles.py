from __future__ import annotations

import pytest

from app.settings import DeliverySettings
from worker.sites.profiles import Sites, read_profiles

SITES = Sites(DeliverySettings(ehlo_name="out.example.com", first_window=7, window=9))


@pytest.mark.parametrize(
    ("exchangers", "name"),
    [
        (("aspmx.l.google.com", "alt1.aspmx.l.google.com"), "google"),
        (("example-com.mail.protection.outlook.com",), "microsoft"),
        (("mta5.am0.yahoodns.net",), "yahoo"),
        (("notgoogle.com",), "notgoogle.com"),
        (("google.com.example.org",), "google.com.example.org"),
    ],
)
def test_a_system_is_known_by_the_ends_of_its_exchangers_names(
    exchangers: tuple[str, ...], name: str
) -> None:
    assert SITES.site(exchangers).name == name


def test_domains_with_the_same_exchangers_are_one_site_in_whatever_order_they_come() -> None:
    assert SITES.site(("mx1.example.org", "mx2.example.org")) == SITES.site(
        ("mx2.example.org", "mx1.example.org", "mx1.example.org")
    )


def test_an_unknown_system_gets_what_the_settings_say() -> None:
    site = SITES.site(("mx.example.org",))
    assert (site.first_window, site.window) == (7, 9)


def test_the_name_of_a_site_with_many_exchangers_stays_short_and_its_own() -> None:
    many = SITES.site(tuple(f"mx{n}.example.org" for n in range(50)))
    more = SITES.site(tuple(f"mx{n}.example.org" for n in range(51)))
    assert len(many.name) <= 120
    assert many.name != more.name


@pytest.mark.parametrize(
    "text",
    ["[x]", '[x]\nexchangers=["a"]\nfirst=0\nwindow=1', '[x]\nexchangers=["a"]\nfirst=3\nwindow=2'],
)
def test_a_profile_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the profile x needs"):
        read_profiles(text)
