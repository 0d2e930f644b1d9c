"""Which URLs may be told of events. The look-up and the connection are checked again when they are made.

What two parsers could read differently (user info, fragments, backslashes, white space, numeric hosts in
odd bases) is refused here rather than interpreted, so that what was checked is what is connected to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

from app.mail.refusal import Refusal
from app.networks import Address, Network, is_allowed

MAX_URL = 2048
"""Characters of a URL."""
_PORTS = frozenset({443, 8443})

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_URL = re.compile(
    r"(?P<scheme>https?)://"
    rf"(?:\[(?P<v6>[0-9A-Fa-f:.]{{2,45}})\]|(?P<name>{_LABEL}(?:\.{_LABEL})*))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?][!-~]*)?",
    re.IGNORECASE,
)
# As browsers do (WHATWG URL, "ends in a number"): decimal, octal and hexadecimal forms are all addresses.
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.IGNORECASE)


class UrlError(Refusal):
    """The URL cannot be an endpoint; `reason` says why, and what to do instead."""


def check_url(url: str, allowed: Sequence[Network]) -> None:
    """Raise UrlError unless events may be posted to `url`.

    `allowed` are the private networks of the settings. Only for them there is plain `http` and any port.
    """
    parts = _split(url)
    inside = _is_inside(parts["v6"] or parts["name"] or "", parts["v6"] is not None, allowed)
    if parts["scheme"].lower() != "https" and not inside:
        raise UrlError("must start with https://")
    port = int(parts["port"] or 443)
    if not (port in _PORTS or inside) or not 0 < port < 65536:
        raise UrlError("may use the ports 443 and 8443 only")


def _split(url: str) -> re.Match[str]:
    if len(url) > MAX_URL:
        raise UrlError(f"is longer than {MAX_URL} characters")
    if "@" in url.partition("//")[2].partition("/")[0]:
        raise UrlError(
            "must not hold a user name or password: check the webhook's signature instead"
        )
    if "#" in url:
        raise UrlError("must not have a fragment (#…): it is never sent")
    if "\\" in url:
        raise UrlError("must not hold a backslash: percent-encode it")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise UrlError(
            "is not a URL of the form https://host/path in printable ASCII: write international names as "
            "xn--…, percent-encode other characters"
        )
    return parts


def _is_inside(host: str, is_v6: bool, allowed: Sequence[Network]) -> bool:
    """Tell whether the host is in one of our own networks; raise UrlError where it must not be reached."""
    if not is_v6 and _NUMBER.fullmatch(host) is None:
        local = host.lower() == "localhost" or host.lower().endswith(".localhost")
        if local and not allowed:
            raise UrlError("names this machine: use a host that can be reached from outside")
        return local
    address = _address(host, is_v6)
    if not is_allowed(address, allowed):
        raise UrlError(
            "names an address that is not public: use a host that can be reached from outside"
        )
    return any(address in network for network in allowed)


def _address(host: str, is_v6: bool) -> Address:
    try:
        return IPv6Address(host) if is_v6 else IPv4Address(host)
    except ValueError:
        raise UrlError("has a numeric host that is no IP address in its usual form") from None
