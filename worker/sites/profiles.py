"""Which site a set of exchangers is, and the limits it gets. Pure."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from app.settings import DeliverySettings
from app.spool.lanes import Site

_LONGEST_NAME = 120


@dataclass(frozen=True, slots=True)
class Profile:
    """A known system: the ends of its exchangers' names, and its window."""

    name: str
    exchangers: tuple[str, ...]
    first_window: int
    window: int

    def fits(self, exchanger: str) -> bool:
        """Tell whether an exchanger belongs to this system."""
        return any(exchanger == end or exchanger.endswith(f".{end}") for end in self.exchangers)


def read_profiles(text: str) -> tuple[Profile, ...]:
    """Return the profiles of a TOML table. Raises ValueError or KeyError for what is none."""
    return tuple(_profile(name, table) for name, table in tomllib.loads(text).items())


def _profile(name: str, table: Mapping[str, object]) -> Profile:
    match table:
        case {"exchangers": list(ends), "first": int(first), "window": int(window)} if (
            0 < first <= window
        ):
            return Profile(name, tuple(str(end) for end in ends), first, window)
        case _:
            raise ValueError(f"the profile {name} needs exchangers, and 0 < first <= window")


class Sites:
    """Knows the sites of exchangers."""

    def __init__(self, settings: DeliverySettings) -> None:
        """Read the profiles that come with the program."""
        self._settings = settings
        self._profiles = read_profiles((files("worker.sites") / "profiles.toml").read_text())

    def site(self, exchangers: Sequence[str]) -> Site:
        """Return the site of a domain's exchangers (or of the domain itself where it has none)."""
        rest = self._settings.site_rest
        for profile in self._profiles:
            if any(profile.fits(exchanger) for exchanger in exchangers):
                return Site(profile.name, profile.first_window, profile.window, rest)
        first, window = self._settings.first_window, self._settings.window
        return Site(_name(exchangers), min(first, window), window, rest)


def _name(exchangers: Sequence[str]) -> str:
    name = ",".join(sorted(set(exchangers)))
    return name if len(name) <= _LONGEST_NAME else hashlib.sha256(name.encode()).hexdigest()
