"""One domain, 1,000 domains, and fast domains beside a site whose every reply takes seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench import load
from bench.contenders import pillarbox, race
from bench.farm import Farm, farm
from bench.figures import Figures, Size, milliseconds, wait_for
from bench.receivers import SLOW
from bench.say import say
from bench.stack import Stack, running, to_many_sites

_SITES = 1_000
_FAST = 100
_SLOW_EACH = 10
"""Every tenth mail goes to the slow site."""
_SLOW_REPLY_S = 5.0
_RATE = 50.0
"""Far below what it can do, so that waiting is the slow site's doing."""


@dataclass(frozen=True, slots=True)
class _Scene:
    stack: Stack
    receivers: Farm

    def rate(self, domains: Sequence[str], size: Size) -> float:
        """Return mails a second to `domains`, once each was sent a mail."""
        contender = pillarbox(self.stack, domains)
        contender.carry(len(domains))
        return race([contender], size.mails, size.rounds, {})["pillarbox"].rate


def measure(size: Size, directory: Path) -> Figures:
    """Measure one after the other, on the same system."""
    with (
        farm(_SITES) as receivers,
        running(
            directory / "pillarbox", to_many_sites(receivers.dns_address, receivers.port)
        ) as stack,
    ):
        scene = _Scene(stack, receivers)
        receivers.tell(slow_reply=_SLOW_REPLY_S)
        say("one domain")
        one = scene.rate(receivers.domains[:1], size)
        say("1,000 domains, each a site of its own")
        many = scene.rate(receivers.domains, size)
        fast = receivers.domains[:_FAST]
        say("100 fast sites alone")
        alone, alone_rate = _arrivals(scene, size, fast), _fast_rate(scene, size, fast)
        say("100 fast sites beside a slow one")
        mixed = _with_slow(fast)
        beside, beside_rate = _arrivals(scene, size, mixed), _fast_rate(scene, size, mixed)
        return {
            "one_domain_per_s": one,
            "thousand_domains_per_s": many,
            **milliseconds("fast_alone", alone),
            **milliseconds("fast_beside_slow", beside),
            "fast_alone_per_s": alone_rate,
            "fast_beside_slow_per_s": beside_rate,
        }


def _with_slow(fast: Sequence[str]) -> list[str]:
    """Return the domains of as many mails, with every tenth for the slow site."""
    groups = (fast[start : start + _SLOW_EACH - 1] for start in range(0, len(fast), _SLOW_EACH - 1))
    return [domain for group in groups for domain in (*group, SLOW)]


def _arrivals(scene: _Scene, size: Size, domains: Sequence[str]) -> list[float]:
    """Return seconds from POST to 250 of the mails to fast sites, at a steady rate."""
    scene.receivers.look()
    wanted = load.requests(scene.stack.api, size.paced, domains)
    posted = uvloop.run(load.pace(scene.stack.api, wanted, _RATE))
    sent = dict(zip(load.recipients(size.paced, domains), posted, strict=True))
    taken = _taken(scene, sent)
    return [at - sent[recipient].sent_at for recipient, at in taken.items()]


def _fast_rate(scene: _Scene, size: Size, domains: Sequence[str]) -> float:
    """Return mails a second to fast sites, from the first POST to the last 250 of theirs."""
    scene.receivers.look()
    wanted = load.requests(scene.stack.api, size.mails, domains)
    began_at = uvloop.run(load.flood(scene.stack.api, wanted))
    taken = _taken(scene, load.recipients(size.mails, domains))
    rate = len(taken) / (max(taken.values()) - began_at)
    say(f"  {rate:8.0f} mails/s to fast sites")
    return rate


def _taken(scene: _Scene, recipients: Iterable[str]) -> dict[str, float]:
    """Wait until all recipients at fast sites have their mail; return when each had."""
    fast = {each for each in recipients if not each.endswith(f"@{SLOW}")}
    taken: dict[str, float] = {}

    def have_arrived() -> bool:
        taken.update(scene.receivers.look().taken)
        return fast <= taken.keys()

    wait_for(have_arrived)
    return {recipient: taken[recipient] for recipient in fast}
