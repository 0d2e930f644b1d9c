"""Hosts: where mail for a domain may be handed over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Host:
    """One address of one mail exchanger. `name` is used for TLS; lower `preference` is tried first."""

    name: str
    address: str
    preference: int
    port: int = 25


Route = tuple[Host, ...]
"""Hosts in the order they are to be tried; never empty."""
