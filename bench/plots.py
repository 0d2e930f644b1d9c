"""`make bench-plots`: the figures of the last `make bench` as charts and as the table of `docs/benchmark.md`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from bench.__main__ import RESULTS
from bench.charts import Part, Row, chart

_PAGE = Path("docs") / "benchmark.md"
_FOLDER = Path("docs") / "benchmark"
_TABLE = re.compile(r"(?<=<!-- figures -->\n).*(?=<!-- end of figures -->)", re.DOTALL)
_NAMES = {"single": "Pillarbox", "postfix": "Postfix", "haraka": "Haraka"}

Known: TypeAlias = Mapping[str, float | None]

_ROWS = (
    ("Pillarbox, single POSTs", "single_per_s", "{:.0f} mails/s"),
    ("Postfix, relaying", "postfix_per_s", "{:.0f} mails/s"),
    ("Haraka, relaying", "haraka_per_s", "{:.0f} mails/s"),
    ("Pillarbox : Postfix, median of rounds", "ratio_postfix", "{:.2f}"),
    ("Pillarbox, batches of 100", "batch_per_s", "{:.0f} mails/s"),
    ("batches : Postfix, median of rounds", "ratio_batch", "{:.2f}"),
    ("Pillarbox : Haraka, median of rounds", "ratio_haraka", "{:.2f}"),
    ("POST to 202 at half load, median", "accept_p50_ms", "{:.1f} ms"),
    ("POST to 202 at half load, 99 %", "accept_p99_ms", "{:.1f} ms"),
    ("POST to MAIL FROM when idle, median", "first_attempt_p50_ms", "{:.1f} ms"),
    ("POST to MAIL FROM when idle, 99 %", "first_attempt_p99_ms", "{:.1f} ms"),
    ("idle worker", "idle_worker_percent", "{:.1f} % of a core"),
    ("composing a two-part mail of 10 KB", "compose_us", "{:.0f} µs"),
    ("signing it (RSA-2048 and Ed25519)", "sign_us", "{:.0f} µs"),
    ("signing it with RSA-2048 only", "sign_rsa_us", "{:.0f} µs"),
    ("the RSA operation alone", "rsa_us", "{:.0f} µs"),
    ("1,000 sites 100 ms away", "wire_100ms_per_s", "{:.0f} mails/s"),
    ("connections one worker held there, most", "wire_100ms_connections", "{:.0f}"),
    ("connections one worker held there, mean", "wire_100ms_connections_mean", "{:.0f}"),
    ("memory of that worker", "wire_100ms_worker_mb", "{:.0f} MB"),
    ("TLS : plain text, over kept connections", "tls_ratio", "{:.2f}"),
    ("TLS : plain text, a fresh connection for each mail", "tls_fresh_ratio", "{:.2f}"),
    ("one domain", "one_domain_per_s", "{:.0f} mails/s"),
    ("1,000 domains, a site each", "thousand_domains_per_s", "{:.0f} mails/s"),
    ("fast sites beside a slow one, POST to 250, median", "fast_beside_slow_p50_ms", "{:.0f} ms"),
    ("the same without the slow one", "fast_alone_p50_ms", "{:.0f} ms"),
    ("mails that waited beside the load", "backlog_mails", "{:,.0f}"),
    ("throughput beside them : without them", "backlog_ratio", "{:.2f}"),
    ("Redis memory of a waiting mail of 10 KB", "waiting_10kb_mail_bytes", "{:,.0f} bytes"),
    ("Redis memory of a waiting mail of 1 KB", "waiting_1kb_mail_bytes", "{:,.0f} bytes"),
)


def _value(known: Known, name: str) -> float:
    return known.get(name) or 0.0


def _spread(known: Known, name: str) -> tuple[float, float]:
    return _value(known, f"{name}_min_per_s"), _value(known, f"{name}_max_per_s")


def _throughput(known: Known) -> str:
    rows = [
        Row(label, (Part(_value(known, f"{name}_per_s"), colour),), _spread(known, name))
        for colour, (name, label) in enumerate(_NAMES.items())
    ]
    unit = "mails a second, 10 KB, all to one sink; median, least and most of the rounds"
    return chart("Throughput in turns on one machine", unit, {"": rows})


def _processor(known: Known) -> str:
    ours = (("API", "api", 0), ("worker", "worker", 3), ("Valkey", "valkey", 4))
    parts = [Part(_value(known, f"cpu_{key}_ms"), colour, name) for name, key, colour in ours]
    rows = [
        Row("Pillarbox", tuple(parts)),
        Row("Postfix", (Part(_value(known, "cpu_postfix_ms"), 1),)),
        Row("Haraka", (Part(_value(known, "cpu_haraka_ms"), 2),)),
    ]
    unit = "milliseconds of one core; Pillarbox also composes and signs each mail"
    return chart("Processor time a mail", unit, {"": rows})


def _wire(known: Known) -> str:
    keys = (("Pillarbox", "per_s"), ("Postfix", "postfix_per_s"), ("Haraka", "haraka_per_s"))
    groups = {
        f"{distance} ms": [
            Row(label, (Part(_value(known, f"wire_{distance}ms_{key}"), colour),))
            for colour, (label, key) in enumerate(keys)
        ]
        for distance in (0, 20, 100)
    }
    unit = "mails a second by round trip; Pillarbox to 1,000 sites, the others to one"
    return chart("Throughput over a distance", unit, groups)


def _destinations(known: Known) -> str:
    names = {
        "one domain": "one_domain_per_s",
        "1,000 domains": "thousand_domains_per_s",
        "100 fast sites": "fast_alone_per_s",
        "beside a slow one": "fast_beside_slow_per_s",
        "nothing waits": "backlog_empty_per_s",
        f"{_value(known, 'backlog_mails'):,.0f} wait": "backlog_full_per_s",
    }
    rows = [Row(label, (Part(_value(known, name)),)) for label, name in names.items()]
    unit = "mails a second; of the mails beside a slow site, those to the fast ones count"
    return chart("Destinations and backlog", unit, {"": rows})


def _slow(known: Known) -> str:
    groups = {
        part: [
            Row(label, (Part(_value(known, f"{name}_{key}_ms"), colour),))
            for colour, (label, name) in enumerate(
                (("beside slow", "fast_beside_slow"), ("alone", "fast_alone"))
            )
        ]
        for part, key in (("median", "p50"), ("99 %", "p99"))
    }
    unit = "milliseconds from POST to 250, at 50 mails a second; the slow site takes 5 s for each reply"
    return chart("Mail to 100 fast sites", unit, groups)


_CHARTS = {
    "throughput": _throughput,
    "processor": _processor,
    "wire": _wire,
    "destinations": _destinations,
    "slow": _slow,
}


def _table(known: Known) -> Iterator[str]:
    yield "| what | here |\n|---|---|\n"
    for label, name, form in _ROWS:
        value = known.get(name)
        yield f"| {label} | {'not measured' if value is None else form.format(value)} |\n"


def main() -> None:
    """Write the charts, the table, and the figures themselves."""
    if not RESULTS.exists():
        sys.exit("there are no figures yet: run `make bench` first")
    text = RESULTS.read_text()
    known: dict[str, float | None] = json.loads(text)
    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / "results.json").write_text(text)
    for name, draw in _CHARTS.items():
        (_FOLDER / f"{name}.svg").write_text(draw(known))
    page = _PAGE.read_text()
    _PAGE.write_text(_TABLE.sub(lambda _: "".join(_table(known)), page))


if __name__ == "__main__":
    main()
