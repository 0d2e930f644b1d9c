"""Hosts: where mail for a domain may be handed over."""

from __future__ import annotations

from dataclasses import dataclass

from worker.policies.policy import OPPORTUNISTIC, Policy


@dataclass(frozen=True, slots=True)
class Host:
    """One address of one mail exchanger; lower `preference` is tried first.

    `name` is what TLS asks for, and `policy` what a connection has to fulfil.
    """

    name: str
    address: str
    preference: int
    port: int = 25
    policy: Policy = OPPORTUNISTIC


Route = tuple[Host, ...]
"""Hosts in the order they are to be tried; never empty."""
