"""Which URLs may be endpoints."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from app.projects.urls import UrlError, check_url

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://shop.example/",
        "https://shop.example?a=b",
        "HTTPS://Shop.Example:443/a/b%20c?d=e&f=@g",
        "https://shop.example:8443/hook",
        "https://xn--bcher-kva.example/",
        "https://8.8.8.8/hook",
        "https://[2606:4700::1111]/hook",
        "https://a_b.example/",
    ],
)
def test_public_https_url_is_taken(url: str) -> None:
    check_url(url, ())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example",
        "//shop.example",
        "http://shop.example/",
        "ftp://shop.example/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        " https://shop.example/",
        "https://shop.example/\n",
        "https://shop.example/a b",
        "https://shop.example/ü",
        "https://bücher.example/",
        "https:///hook",
        "https://shop..example/",
        "https://shop.example./",
        "https://-shop.example/",
        "https://user:pw@shop.example/",
        "https://user@shop.example/",
        "https://shop.example@127.0.0.1/",
        "https://shop.example/#top",
        "https://shop.example\\@127.0.0.1/",
        "https://shop.example/\\",
        "https://shop.example:80/",
        "https://shop.example:0/",
        "https://shop.example:65536/",
        "https://shop.example:99999999/",
        "https://shop.example:/x",
        "https://localhost/",
        "https://api.localhost/",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://0x/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fd00::1]/",
        "https://[::]/",
        "https://[1.2.3.4]/",
        f"https://shop.example/{'a' * 2048}",
    ],
)
def test_other_url_is_refused(url: str) -> None:
    with pytest.raises(UrlError):
        check_url(url, ())


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000/hook",
        "https://127.0.0.1:1/hook",
        "http://[::1]:9000/hook",
        "http://localhost:9000/",
        "http://hooks.localhost/",
    ],
)
def test_settings_open_their_networks_to_plain_http_and_any_port(url: str) -> None:
    check_url(url, LOOPBACK)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/",
        "https://shop.example:9000/",
        "https://10.0.0.1/",
        "http://2130706433/",
    ],
)
def test_settings_open_nothing_else(url: str) -> None:
    with pytest.raises(UrlError):
        check_url(url, LOOPBACK)
