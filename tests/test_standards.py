"""The register of standards (docs/standards.md) says what is true: its modules, tests and sections exist.

Each rule takes the register and returns the breaches it finds, and carries a sample of one.
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "standards.md"

LEVELS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "rule"}
HEAD = ["§", "level", "what it asks", "where", "shown by"]

_SECTION = re.compile(r"(?:(?P<rfc>[0-9]{3,5}) §)?[0-9]+(?:\.[0-9]+)*(?: \([0-9]\))?")
_TEST = re.compile(r"`((?:\w+/)*\w+::\w+)`")
_MODULE = re.compile(r"`((?:app|worker)/[\w/]+\.py)`")
_UNMET = re.compile(r"(deviates|not yet): (.+)")
# Where it is decided what other systems are told.
_SPEAKING = (
    "app/mail", "worker/smtp", "worker/routing", "worker/policies", "worker/reports", "worker/outcomes",
)  # fmt: skip
_SUMMARY = re.compile(r"^\| (\w[\w ]*) \| ([0-9]+) \|", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """One line of a table: what an RFC asks, and what is said of it. `rfcs` are those that its heading names."""

    line: int
    rfcs: tuple[str, ...]
    section: str
    level: str
    text: str
    where: str
    shown: str

    @property
    def state(self) -> str:
        """Return `shown`, `deviates` or `not yet`."""
        unmet = _UNMET.match(self.shown)
        return unmet[1] if unmet else "shown"


def rows_of(page: str) -> Iterator[Row]:
    """Give the rows of all tables that have the head of a register."""
    rfcs: tuple[str, ...] = ()
    is_register = False
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("#"):
            rfcs = tuple(re.findall(r"\b[0-9]{3,5}\b", line))
        if not line.startswith("|"):
            is_register = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells == HEAD:
            is_register = True
        elif is_register and set(cells) != {"---"}:
            section, level, text, where, shown = [*cells, "", "", "", "", ""][:5]
            yield Row(number, rfcs, section, level, text, where, " | ".join([shown, *cells[5:]]))


@cache
def files_of_tests() -> Mapping[str, frozenset[str]]:
    """Return the names of the tests of each file, by its path below tests/ without .py and `test_`."""
    found: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        names = [node.name for node in tree.body if isinstance(node, functions)]
        place = path.relative_to(ROOT / "tests").with_suffix("").as_posix()
        found[re.sub(r"test_(?=\w+$)", "", place)] = frozenset(names)
    return found


def where_is(test: str) -> str:
    """Return "" for a test that exists in exactly one file, else what is wrong."""
    place, _, name = test.partition("::")
    files = [path for path in files_of_tests() if f"/{path}".endswith(f"/{place}")]
    if len(files) != 1:
        return f"{test}: {len(files)} files of tests are called so"
    return "" if f"test_{name}" in files_of_tests()[files[0]] else f"{test}: no such test"


def levels(row: Row) -> Iterator[str]:
    if row.level not in LEVELS:
        yield f"{row.level!r} is no level"


def sections(row: Row) -> Iterator[str]:
    for section in row.section.split(", "):
        found = _SECTION.fullmatch(section)
        if section == "all" and len(row.rfcs) == 1:
            continue
        if found is None:
            yield f"{section!r} is no section"
        elif len(row.rfcs) > 1 and found["rfc"] is None:
            yield f"§{section}: of which RFC?"
        elif found["rfc"] and found["rfc"] not in row.rfcs:
            yield f"RFC {found['rfc']} does not stand in the heading"


def modules(row: Row) -> Iterator[str]:
    if re.fullmatch(rf"{_MODULE.pattern}(?:, {_MODULE.pattern})*", row.where) is None:
        yield f"{row.where!r} names no modules"
    for module in _MODULE.findall(row.where):
        if not (ROOT / module).is_file():
            yield f"{module} does not exist"


def evidence(row: Row) -> Iterator[str]:
    if row.state == "shown" and not re.fullmatch(
        rf"{_TEST.pattern}(?:, {_TEST.pattern})*", row.shown
    ):
        yield "neither tests nor a reason"
    yield from filter(None, map(where_is, _TEST.findall(row.shown)))


def words(row: Row) -> Iterator[str]:
    if len(row.text) < 10 or row.text.endswith("."):
        yield "says too little, or is a sentence with a full stop"


RULES: list[Callable[[Row], Iterator[str]]] = [levels, sections, modules, evidence, words]

GOOD = """
### RFC 5321: SMTP

| § | level | what it asks | where | shown by |
|---|---|---|---|---|
| 4.5.2 | MUST | Double leading dots | `worker/smtp/transaction.py` | `wire::any_lines_arrive_as_they_were` |
| 5.1, 2.3.5 | rule | Another thing | `worker/smtp/pool.py` | deviates: because |
| all | SHOULD NOT | Yet another thing | `app/ids.py`, `app/main.py` | not yet: later |
"""

BREACHES = [
    (levels, "MUST |", "OUGHT |"),
    (levels, "MUST |", "must |"),
    (sections, "| 4.5.2", "| four"),
    (sections, "| 4.5.2", "| 4.5."),
    (sections, "| 4.5.2", "| 3030 §4"),
    (sections, "RFC 5321", "RFC 5321 and RFC 3030"),
    (modules, "worker/smtp/transaction.py", "worker/smtp/nothing.py"),
    (modules, "`worker/smtp/transaction.py`", ""),
    (modules, "`app/ids.py`, ", "`app/ids.py` and "),
    (evidence, "wire::any_lines_arrive_as_they_were", "wire::no_such_test"),
    (evidence, "wire::any_lines_arrive_as_they_were", "nowhere::any_lines_arrive_as_they_were"),
    (evidence, "`wire::any_lines_arrive_as_they_were`", "it is obvious"),
    (evidence, "`wire::any_lines_arrive_as_they_were`", ""),
    (evidence, "wire::any", "dsn::any"),
    (evidence, "because", "because of `wire::no_such_test`"),
    (evidence, "deviates: because", "deviates:"),
    (words, "Double leading dots", "Dots"),
]


def breaches(page: str) -> list[str]:
    return [
        f"docs/standards.md:{row.line} {breach}"
        for row in rows_of(page)
        for rule in RULES
        for breach in rule(row)
    ]


def doubled(page: str) -> list[str]:
    """Return what is asked twice in the same words by the same RFC."""
    counts = Counter((row.rfcs, row.text.lower()) for row in rows_of(page))
    return [text for (_, text), times in counts.items() if times > 1]


def unregistered(page: str, code: Iterable[str]) -> list[str]:
    """Return the RFCs that code names and the page does not."""
    named = {rfc for text in code for rfc in re.findall(r"RFC ([0-9]{3,5})", text)}
    return sorted(rfc for rfc in named if re.search(rf"\b{rfc}\b", page) is None)


def miscounted(page: str) -> list[str]:
    """Return the states that the summary counts wrongly."""
    told = {state: int(count) for state, count in _SUMMARY.findall(page)}
    true = Counter(row.state for row in rows_of(page))
    return [state for state in ("shown", "deviates", "not yet") if told.get(state) != true[state]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_register_keeps_the_rule(rule: Callable[[Row], Iterator[str]]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [f"{row.line}: {breach}" for row in rows_of(page) for breach in rule(row)] == []


@pytest.mark.parametrize(("rule", "old", "new"), BREACHES)
def test_the_rule_notices_a_breach(
    rule: Callable[[Row], Iterator[str]], old: str, new: str
) -> None:
    assert GOOD.count(old) == 1
    assert breaches(GOOD) == []
    page = GOOD.replace(old, new)
    assert [breach for row in rows_of(page) for breach in rule(row)]


def test_nothing_is_asked_twice() -> None:
    assert doubled(PAGE.read_text(encoding="utf-8")) == []
    assert doubled(GOOD) == []
    assert doubled(GOOD.replace("Another thing", "double leading dots")) == ["double leading dots"]


def test_every_rfc_that_the_code_names_is_registered() -> None:
    files = [path for folder in _SPEAKING for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 50
    code = [path.read_text(encoding="utf-8") for path in files]
    assert unregistered(PAGE.read_text(encoding="utf-8"), code) == []
    assert unregistered(GOOD, ["as RFC 5321 §5 says", "(RFC 3030)"]) == ["3030"]


def test_the_summary_counts_right() -> None:
    assert miscounted(PAGE.read_text(encoding="utf-8")) == []
    summary = "| shown | 1 |\n| deviates | 1 |\n| not yet | 1 |\n"
    assert miscounted(summary + GOOD) == []
    assert miscounted(summary.replace("deviates | 1", "deviates | 2") + GOOD) == ["deviates"]


def test_every_line_of_a_table_is_read() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = list(rows_of(page))
    lines = [line for line in page.splitlines() if line.count("|") == 6]
    heads = page.count("| " + " | ".join(HEAD) + " |")
    assert len(rows) == len(lines) - 2 * heads > 200
    assert all(row.rfcs for row in rows)
