from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.settings.delivering import DeliverySettings
from worker.sites.profiles import Sites, parse_profiles, read_profiles

DEFAULTS = DeliverySettings(
    ehlo_name="out.example.com", first_window=7, window=9, connection_mails=11
)
SITES = Sites(DEFAULTS)


def with_file(path: Path, text: str) -> DeliverySettings:
    path.write_text(text)
    return DEFAULTS.model_copy(update={"profiles_file": path})


@pytest.mark.parametrize(
    ("exchangers", "name"),
    [
        (("aspmx.l.google.com", "alt1.aspmx.l.google.com"), "google"),
        (("example-com.mail.protection.outlook.com",), "microsoft365"),
        (("outlook-com.olc.protection.outlook.com",), "outlook"),
        (("mta5.am0.yahoodns.net",), "yahoo"),
        (("mx1.example.org", "mx2.example.org"), "mx1.example.org,mx2.example.org"),
        (("notgoogle.com",), "notgoogle.com"),
        (("google.com.example.org",), "google.com.example.org"),
    ],
)
def test_a_system_is_known_by_the_ends_of_its_exchangers_names(
    exchangers: tuple[str, ...], name: str
) -> None:
    assert SITES.site(exchangers).name == name


def test_exchangers_of_two_systems_are_one_site_in_whatever_order_they_come() -> None:
    both = ("mta5.am0.yahoodns.net", "aspmx.l.google.com")
    assert SITES.site(both) == SITES.site(both[::-1])


def test_a_domain_that_names_a_large_system_beside_its_own_host_is_no_part_of_it() -> None:
    site = SITES.site(("mx.example.org", "aspmx.l.google.com"))
    assert (site.name, site.window) == ("aspmx.l.google.com,mx.example.org", DEFAULTS.window)


def test_domains_with_the_same_exchangers_are_one_site_in_whatever_order_they_come() -> None:
    assert SITES.site(("mx1.example.org", "mx2.example.org")) == SITES.site(
        ("mx2.example.org", "mx1.example.org", "mx1.example.org")
    )


def test_an_unknown_system_gets_what_the_settings_say() -> None:
    site = SITES.site(("mx.example.org",))
    assert (site.first_window, site.window, site.interval) == (7, 9, None)
    assert SITES.connection_mails("mx.example.org") == 11


def test_a_default_rate_is_for_all_that_have_none_of_their_own() -> None:
    sites = Sites(DeliverySettings.model_validate({"ehlo_name": "out.example.com", "rate": "10/s"}))
    assert sites.site(("mx.example.org",)).interval == timedelta(milliseconds=100)
    assert sites.site(("mx1.qq.com",)).interval == timedelta(milliseconds=500)


def test_a_connection_carries_as_many_mails_as_the_profile_of_its_host_says() -> None:
    assert SITES.connection_mails("mta5.am0.yahoodns.net") == 20
    assert SITES.connection_mails("mx1.comcast.net") == 11


def test_the_name_of_a_site_with_many_exchangers_stays_short_and_its_own() -> None:
    many = SITES.site(tuple(f"mx{n}.example.org" for n in range(50)))
    more = SITES.site(tuple(f"mx{n}.example.org" for n in range(51)))
    assert len(many.name) <= 120
    assert many.name != more.name


def test_no_exchanger_belongs_to_two_of_the_shipped_profiles() -> None:
    ends = [end for profile in read_profiles(DEFAULTS).values() for end in profile.exchangers]
    assert not [(a, b) for a in ends for b in ends if a is not b and f".{a}".endswith(f".{b}")]


def test_a_file_of_the_operator_changes_what_it_names_and_adds_what_is_new(tmp_path: Path) -> None:
    text = """
        [yahoo]
        mails = 3
        rest = "1h"
        [acme]
        exchangers = ["mx.acme.example"]
        window = 2
        rate = "60/m"
    """
    sites = Sites(with_file(tmp_path / "sites.toml", text))
    yahoo = sites.site(("mta5.am0.yahoodns.net",))
    assert (yahoo.window, yahoo.rest) == (5, timedelta(hours=1))
    assert sites.connection_mails("mta5.am0.yahoodns.net") == 3
    acme = sites.site(("eu.mx.acme.example",))
    assert (acme.name, acme.first_window, acme.window) == ("acme", 2, 2)
    assert acme.interval == timedelta(seconds=1)
    assert sites.site(("aspmx.l.google.com",)) == SITES.site(("aspmx.l.google.com",))


def test_an_exchanger_that_the_operator_names_belongs_to_the_operators_profile(
    tmp_path: Path,
) -> None:
    text = '[own]\nexchangers = ["yahoodns.net"]\n[longer]\nexchangers = ["l.google.com"]\n'
    sites = Sites(with_file(tmp_path / "sites.toml", text))
    assert sites.site(("mta5.am0.yahoodns.net",)).name == "own"
    assert sites.site(("aspmx.l.google.com",)).name == "longer"
    assert sites.site(("smtp.google.com",)).name == "google"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[acme]\nwindow = 2", "sites.toml: acme.exchangers: it is missing"),
        ("[google]\nwindow = 0", "sites.toml: google.window: Input should be greater than"),
        ("[google]\nwidth = 9", "sites.toml: google.width: there is no such key"),
        ('[google]\nrate = "fast"', "google.rate: 'fast' is no rate; write"),
        ('[google]\nexchangers = ["*.google.com"]', "google.exchangers[1]: String should match"),
        ("google = 3", "sites.toml: google: it has to be a table"),
        ('["a/b"]\nexchangers = ["mx.acme.example"]', "a/b: a name has small letters"),
        ("[google", "sites.toml: this is not TOML: "),
    ],
)
def test_a_file_with_a_fault_is_refused_with_a_sentence_that_names_it(
    tmp_path: Path, text: str, fault: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Sites(with_file(tmp_path / "sites.toml", text))
    assert fault in refused.value.detail


def test_all_faults_of_a_file_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_profiles({"a": {"window": 0}, "b": {}}, "sites.toml")
    assert len(refused.value.detail.splitlines()) == 3


def test_a_file_that_is_not_there_is_refused_with_its_name(tmp_path: Path) -> None:
    settings = DEFAULTS.model_copy(update={"profiles_file": tmp_path / "none.toml"})
    with pytest.raises(ConfigurationError, match=r"none\.toml: cannot be read: No such file"):
        Sites(settings)


@pytest.mark.parametrize("rate", ["0/s", "10", "10/w", "-1/s", "", "1.5/s", "99999999/s"])
def test_what_is_no_rate_is_refused(rate: str) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        DeliverySettings.model_validate({"ehlo_name": "out.example.com", "rate": rate})
