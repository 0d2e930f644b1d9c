"""Settings of the domains that projects send from."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import Field, field_validator

from app.networks import Network
from app.settings.forms import Count, Group, HostName, Port, Seconds

_TERM = re.compile(
    r"(?:include:|exists:|a|a:|mx|mx:)[a-z0-9._%{}/-]*|ip4:[0-9./]{7,18}|ip6:[0-9a-f:./]{2,49}",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,62}")


class DomainSettings(Group):
    """The domains that projects send from ([domains.md](domains.md))."""

    required: bool = True
    """Refuse mail whose From is in no verified domain of its project."""
    shared: tuple[str, ...] = ()
    """Domains that every project may send from, with the names below them: the operator vouches for them, and
    signs with keys in `dkim.directory`."""
    spf: tuple[str, ...] = ()
    """SPF terms that name where mail leaves from, such as `["include:spf.mail.example.net"]` or
    `["ip4:192.0.2.7"]`; projects publish them at their return paths."""
    return_path_host: HostName | None = None
    """Host that takes mail to return paths; projects publish it as their MX."""
    return_path: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")] = (
        "bounces"
    )
    """Label of the return path below a domain, where its project names no other."""
    max_domains: Count = 100
    """Domains of one project."""
    cache: Seconds = timedelta(seconds=2)
    """How long a domain that was deleted or fails may still be sent from."""
    wrong_for: Seconds = timedelta(days=2)
    """A verified domain fails once its records are wrong or missing for so long, at each of several checks."""
    unreachable_for: Seconds = timedelta(days=7)
    """A verified domain fails once none of its name servers answers for so long."""
    hold: Seconds = timedelta(minutes=30)
    """How long mail of a failing domain waits before it is looked at again, until its time ends."""
    pause: Seconds = timedelta(seconds=2)
    """Shortest time between two checks of a domain that are asked for."""
    budget: Seconds = timedelta(seconds=10)
    """How long one check may take; what did not answer then counts as unreachable."""
    nameserver_port: Port = 53
    """Port of the name servers of domains; the standard knows no other."""
    allowed_networks: tuple[Network, ...] = ()
    """Private or loopback networks where name servers of domains may nevertheless be asked."""

    @field_validator("shared")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if _NAME.fullmatch(name) is None:
                raise ValueError(f"{name!r} is no domain in lower case and A-labels")
        return value

    @field_validator("spf")
    @classmethod
    def _are_terms(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for term in value:
            if _TERM.fullmatch(term) is None:
                raise ValueError(
                    f"{term!r} is no SPF term; write `include:name` or `ip4:192.0.2.7`"
                )
        return value
