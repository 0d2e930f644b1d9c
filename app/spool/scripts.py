"""The atomic steps: Lua files made complete with the key names and the limits that they need."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from app.settings import Settings
from app.spool.client import Script
from app.spool.keyspace import Keyspace

LANES_PER_JOB = 20
"""Lanes in one job of arq at most: a job costs several round trips, however many lanes it names."""
_RESERVATION_MS = 10_000
"""How long a place stays reserved for a drain whose job may have been lost."""
_LOOK_AGAIN_MS = 1_000
"""How soon the clock looks again at a lane that it has just looked at."""
_TICK_MS = 900
"""How long after a tick of the clock another worker may do the next one."""
_EXPIRE_AGAIN_MS = 60_000
"""How soon an overdue message is looked at again, should it still be open."""
_WAIT_FOR_PLACE_MS = 600_000
"""How long a lane waits to be invited to its site before it looks again by itself."""
_LONGEST_LOOK_MS = 60_000
"""How soon the clock looks again at a site that lanes wait for, whatever it waits for itself."""
_BURST_MS = 2_000
"""How much of a site's rate may be saved up: a little more than passes between two ticks of the clock."""
_LONGEST_WAIT_MS = 1_000
"""How long due mail may wait before its lane gets one more drain, however busy the others are."""
_INVITATION_MS = 10_000
"""How long a place is kept for a lane that was invited to take it."""
_MAILS_PER_TURN = 20
"""Mails a drain carries at a site while others wait for a place there."""
_SITE_MEMORY_S = 86_400
"""How long a site that nobody visits is remembered."""
_BEGINNINGS = ("names", "suppressions", "schedule", "sites", "reports", "shared", "lanes")
"""Lua files that stand before every script, in an order in which each builds on those before."""
_PARCELS_PER_CLAIM = 10
"""How many events of one endpoint are posted side by side."""
_PART_LINGER_MS = 60_000
"""How long a shared part stays that no message has: the next of its batch may be on its way."""
_PART_MARGIN_MS = 86_400_000
"""How long after the time of its last message a shared part goes away, whatever became of them."""
_REPORT_DRAINS = 4
"""Drains that write the reports of one project at a time."""


@dataclass(frozen=True, slots=True)
class Scripts:
    """One script for each atomic step; the Lua file of the same name says what it takes and returns."""

    accept: Script
    share: Script
    begin: Script
    enter: Script
    choose: Script
    rest: Script
    settle: Script
    settle_parcels: Script
    settle_report: Script
    count_tls: Script
    doubt: Script
    renew: Script
    takeover: Script
    tick: Script
    wake: Script
    overdue: Script
    hasten: Script
    suppress: Script
    unsubscribe: Script
    release: Script
    load_policy: Script
    keep_policy: Script
    due_policies: Script
    keep_domain: Script
    remove_domain: Script
    hasten_domain: Script
    due_domains: Script
    keep_check: Script

    @classmethod
    def of(cls, keys: Keyspace, settings: Settings) -> Scripts:
        """Return the scripts of one installation."""
        beginning = "\n".join((keys.as_lua(), _policy(settings), *map(_lua, _BEGINNINGS)))

        def script(name: str, flags: str = " flags=allow-oom") -> Script:
            return Script(f"#!lua{flags}\n{beginning}\n{_lua(name)}")

        return cls(
            # Only what is new is refused when Redis is full: mail that is already there must be able to finish.
            accept=script("accept", flags=""),
            share=script("share", flags=""),
            begin=script("begin"),
            enter=script("enter"),
            choose=script("choose"),
            rest=script("rest"),
            settle=script("settle"),
            settle_parcels=script("settle_parcels"),
            settle_report=script("settle_report"),
            count_tls=script("count_tls"),
            doubt=script("doubt"),
            renew=script("renew"),
            takeover=script("takeover"),
            tick=script("tick"),
            wake=script("wake"),
            overdue=script("overdue"),
            hasten=script("hasten"),
            suppress=script("suppress", flags=""),
            # A person's wish is small, and holds even when Redis is full.
            unsubscribe=script("unsubscribe"),
            release=script("release"),
            load_policy=script("load_policy"),
            keep_policy=script("keep_policy"),
            due_policies=script("due_policies"),
            keep_domain=script("keep_domain", flags=""),
            remove_domain=script("remove_domain"),
            hasten_domain=script("hasten_domain"),
            due_domains=script("due_domains"),
            keep_check=script("keep_check"),
        )


def _lua(name: str) -> str:
    return (files("app.spool") / "lua" / f"{name}.lua").read_text()


def _policy(settings: Settings) -> str:
    delivery, webhooks = settings.delivery, settings.webhooks
    mail = _lane_policy(
        delivery.lane_drains, delivery.mails_per_drain, delivery.recipients_per_transaction
    )
    endpoint = _lane_policy(webhooks.drains, 4 * _PARCELS_PER_CLAIM, _PARCELS_PER_CLAIM)
    report = _lane_policy(_REPORT_DRAINS, 100, 1)
    lease_ms = round(delivery.lease.total_seconds() * 1000)
    return (
        f"local POLICY = {{ mail = {mail}, endpoint = {endpoint}, report = {report}, lease = {lease_ms}, "
        f"tick = {_TICK_MS}, reservation = {_RESERVATION_MS}, lanes_per_job = {LANES_PER_JOB}, "
        f"look_again = {_LOOK_AGAIN_MS}, expire_again = {_EXPIRE_AGAIN_MS}, "
        f"longest_wait = {_LONGEST_WAIT_MS}, wait_for_place = {_WAIT_FOR_PLACE_MS}, "
        f"invitation = {_INVITATION_MS}, mails_per_turn = {_MAILS_PER_TURN}, site_memory_s = {_SITE_MEMORY_S}, "
        f"longest_look = {_LONGEST_LOOK_MS}, burst = {_BURST_MS}, max_waiting = {webhooks.max_waiting}, "
        f"part_linger = {_PART_LINGER_MS}, part_margin = {_PART_MARGIN_MS} }}"
    )


def _lane_policy(drains: int, per_drain: int, batch: int) -> str:
    return f"{{ drains = {drains}, per_drain = {per_drain}, batch = {batch} }}"
