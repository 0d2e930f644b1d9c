"""What TLS costs: mail over kept connections, and with a fresh handshake for each mail, beside plain text.

The certificate is of an unknown authority: it is taken, and judged for the event, as most mail's is.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench.contenders import Contender, Score, pillarbox, race
from bench.farm import farm
from bench.figures import Figures, Size
from bench.stack import running, to_many_sites

_SITES = 20
_FRESH = {"PILLARBOX_DELIVERY__CONNECTION_MAILS": "1"}


def measure(size: Size, directory: Path) -> Figures:
    """Let four installations carry mail in turns."""
    with ExitStack() as stack:
        contenders = [
            _contender(stack, directory, f"{line}{kind}", settings)
            for kind, settings in (("", {}), ("-fresh", _FRESH))
            for line in ("plain", "tls")
        ]
        for each in contenders:
            each.carry(_SITES * 5)
        return _figures(race(contenders, size.mails, size.rounds, {}))


def _contender(
    stack: ExitStack, directory: Path, name: str, settings: Mapping[str, str]
) -> Contender:
    receivers = stack.enter_context(farm(_SITES, has_tls=name.startswith("tls")))
    way = {**to_many_sites(receivers.dns_address, receivers.port), **settings}
    ours = stack.enter_context(running(directory / name, way))
    return replace(pillarbox(ours, receivers.domains), name=name)


def _figures(scores: Mapping[str, Score]) -> Figures:
    worker = {name: score.cpu_ms()["worker"] for name, score in scores.items()}
    return {
        "tls_ratio": scores["tls"].rate / scores["plain"].rate,
        "tls_per_s": scores["tls"].rate,
        "tls_plain_per_s": scores["plain"].rate,
        "tls_fresh_ratio": scores["tls-fresh"].rate / scores["plain-fresh"].rate,
        "tls_fresh_per_s": scores["tls-fresh"].rate,
        "tls_kept_cpu_ms": worker["tls"] - worker["plain"],
        "tls_handshake_cpu_ms": worker["tls-fresh"] - worker["plain-fresh"],
    }
