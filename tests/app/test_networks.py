"""Which addresses may be connected to."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network

import pytest

from app.networks import is_allowed

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450::1",
    "2001:500:2::c",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]
CLOSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:169.254.169.254",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
]
NO_ADDRESS = [
    "",
    "localhost",
    "2130706433",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "127.1",
    "8.8.8.8 ",
    "[2606:4700::1111]",
    "2606:4700::1111%eth0",
    "8.8.8.8/32",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_connected_to(address: str) -> None:
    assert is_allowed(address, ())


@pytest.mark.parametrize("address", CLOSED)
def test_private_and_reserved_addresses_may_not(address: str) -> None:
    assert not is_allowed(address, ())


@pytest.mark.parametrize("text", NO_ADDRESS)
def test_what_is_no_plain_address_may_not(text: str) -> None:
    assert not is_allowed(text, (ip_network("0.0.0.0/0"), ip_network("::/0")))


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("127.0.0.2", "127.0.0.0/8"),
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
        ("64:ff9b::10.1.2.3", "10.0.0.0/8"),
        ("::1", "::1/128"),
        ("fd00::5", "fd00::/8"),
    ],
)
def test_a_network_of_the_settings_may_be_connected_to(address: str, network: str) -> None:
    assert is_allowed(address, (ip_network(network),))


def test_a_network_of_the_settings_opens_nothing_else() -> None:
    assert not is_allowed("10.0.0.1", (ip_network("127.0.0.0/8"),))
    assert not is_allowed("::1", (ip_network("0.0.0.0/0"),))


def test_address_objects_are_judged_as_their_text_is() -> None:
    assert is_allowed(IPv4Address("8.8.8.8"))
    assert not is_allowed(IPv4Address("127.0.0.1"))
