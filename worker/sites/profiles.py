"""Which site a set of exchangers is, and the limits it gets: the table of profiles, and the operator's own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from app.settings.delivering import DeliverySettings
from app.settings.forms import Count, Rate, Seconds
from app.spool.workers.lanes import Site
from worker.sites.tables import check, naming, parse_tables, read_text

_LONGEST_NAME = 120
_NAME = re.compile(r"[a-z0-9-]{1,40}")
_SHIPPED = "profiles.toml"


def _is_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a name has small letters, digits and hyphens only, 40 at most")
    return value


_HostName = Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")]


class Profile(BaseModel):
    """A known system: the ends of its exchangers' names, and what it gets; None leaves it to the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exchangers: Annotated[tuple[_HostName, ...], Field(min_length=1)]
    first: Count | None = None
    window: Count | None = None
    rate: Rate | None = None
    mails: Count | None = None
    rest: Seconds | None = None


_PROFILES = TypeAdapter(dict[Annotated[str, AfterValidator(_is_name)], Profile])


@dataclass(frozen=True, slots=True)
class _Known:
    site: Site
    connection_mails: int


def read_profiles(settings: DeliverySettings) -> dict[str, Profile]:
    """Return the shipped profiles by name, with what `profiles_file` changes or adds.

    Raises ConfigurationError for a file that cannot be read or holds what is no profile.
    """
    tables = parse_tables((files("worker.sites") / _SHIPPED).read_text())
    if settings.profiles_file is None:
        return parse_profiles(tables, _SHIPPED)
    path, own = settings.profiles_file, _load(settings.profiles_file)
    merged = {name: _merged(tables.get(name), table) for name, table in own.items()}
    # The operator's own come last, and so win where both name an exchanger.
    others = {name: table for name, table in tables.items() if name not in own}
    return parse_profiles(others, _SHIPPED) | parse_profiles(merged, str(path))


def parse_profiles(tables: Mapping[str, object], source: str) -> dict[str, Profile]:
    """Check tables of profiles; `source` is named in the ConfigurationError that tells of each fault."""
    with naming(source):
        return check(_PROFILES, tables)


class Sites:
    """Knows the sites of exchangers."""

    def __init__(self, settings: DeliverySettings) -> None:
        """Read the profiles. Raises ConfigurationError."""
        self._settings = settings
        profiles = read_profiles(settings)
        known = {name: self._known(name, profile) for name, profile in profiles.items()}
        self._places = {name: place for place, name in enumerate(profiles)}
        self._by_end = {
            end: known[name] for name, profile in profiles.items() for end in profile.exchangers
        }

    def site(self, exchangers: Sequence[str]) -> Site:
        """Return the site of a domain's exchangers (or of the domain itself where it has none).

        It is a known system's only where each exchanger is known: anybody may name a large system beside
        a host of his own, and what that host does must not count for all who have their mail there.
        """
        known = [found.site for found in map(self._find, exchangers) if found]
        if known and len(known) == len(exchangers):
            return min(known, key=lambda site: self._places[site.name])
        return self._site(_name(exchangers))

    def connection_mails(self, exchanger: str) -> int:
        """Return how many mails one connection to an exchanger may carry."""
        known = self._find(exchanger)
        return known.connection_mails if known else self._settings.connection_mails

    def _find(self, exchanger: str) -> _Known | None:
        """Look for the longest known end of a name; the name itself is one."""
        while exchanger:
            if known := self._by_end.get(exchanger):
                return known
            exchanger = exchanger.partition(".")[2]
        return None

    def _known(self, name: str, profile: Profile) -> _Known:
        return _Known(self._site(name, profile), profile.mails or self._settings.connection_mails)

    def _site(self, name: str, profile: Profile | None = None) -> Site:
        """Make a site of what a profile says, and of the settings where it says nothing."""
        settings = self._settings
        window = (profile and profile.window) or settings.window
        return Site(
            name=name,
            first_window=min((profile and profile.first) or settings.first_window, window),
            window=window,
            rest=(profile and profile.rest) or settings.site_rest,
            interval=(profile and profile.rate) or settings.rate,
        )


def _load(path: Path) -> dict[str, object]:
    with naming(path):
        return parse_tables(read_text(path))


def _merged(shipped: object, own: object) -> object:
    if isinstance(shipped, dict) and isinstance(own, dict):
        return shipped | own
    return own


def _name(exchangers: Sequence[str]) -> str:
    name = ",".join(sorted(set(exchangers)))
    return name if len(name) <= _LONGEST_NAME else hashlib.sha256(name.encode()).hexdigest()
