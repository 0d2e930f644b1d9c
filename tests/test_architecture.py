"""The shape of the code: sizes, names, docstrings and the layout, which no other tool checks.

Each rule says what to do about a breach, and carries a sample of one: a rule that cannot fail
proves nothing. Imports are checked by the contracts in pyproject.toml, style by ruff, types by
mypy.
"""

import ast
import re
import statistics
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# What tools leave behind, and what `make run` keeps; .gitignore names the same.
LEFT_BEHIND = {
    ".git", ".venv", ".aside", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".benchmarks",
    ".schemathesis", ".import_linter_cache", ".coverage", "htmlcov", ".pillarbox", "build", "dist", "__pycache__",
}  # fmt: skip
TOP_LEVEL = {
    "app", "worker", "tests", "bench", "docs", "k8s", "openapi", "requirements", "tools", ".ci",
    "pyproject.toml", "Makefile", "Dockerfile", ".dockerignore", ".gitignore", ".yamllint.yaml",
    "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE",
}  # fmt: skip
ROOMS = {
    "app": {
        "api", "catchall", "dashboard", "identity", "letters", "logbook", "mail", "processes", "projects",
        "rehearsal", "server", "settings", "signals", "spool", "workshop",
    },
    "worker": {
        "claims", "feedback", "identity", "outcomes", "policies", "reports", "routing", "signals", "sites", "smtp",
    },
}  # fmt: skip
DRAWERS = {"base", "common", "core", "helper", "helpers", "misc", "util", "utils"}
PURE = ("app/identity/tokens.py", "app/mail/", "worker/outcomes/", "worker/retry.py")
CLOCKS = {"monotonic", "now", "perf_counter", "time", "today", "utcnow"}

MOST_BODY_LINES = 40
MOST_FILE_LINES = 400
MOST_PARAMETERS = 5
MOST_MODULES = 12
MEDIAN_BODY_LINES = 6
NINE_IN_TEN_BODY_LINES = 20

# The brackets keep these patterns from finding themselves.
MACHINE_PATHS = re.compile(r"(?<![\w.-])/(?:roo[t]|hom[e]/\w+|User[s]/\w+|wor[k])/|\.\./share[d]\b")
INDEX_HOSTS = re.compile(r"pyp[i]\.org|pythonhoste[d]\.org|test\.pyp[i]|npmj[s]\.(?:org|com)")
SILENCED = re.compile(r"#\s*noq[a]|#\s*ruff:\s*noq[a]")
UNEXPLAINED = re.compile(r"#\s*type:\s*ignor[e](?!\[[\w, -]+\]\s+#\s*\w)")

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file, parsed once."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def functions(self) -> list[FunctionNode]:
        return [node for node in ast.walk(self.tree) if isinstance(node, FunctionNode)]

    def at(self, node: FunctionNode | ast.ClassDef | ast.expr | ast.stmt, words: str) -> str:
        return f"{self.path}:{node.lineno} {words}"


@dataclass(frozen=True)
class Project:
    """A folder with the files that belong to the project."""

    root: Path

    @cached_property
    def files(self) -> list[str]:
        found = (path for path in self.root.rglob("*") if path.is_file())
        names = (path.relative_to(self.root) for path in found)
        return sorted(name.as_posix() for name in names if not LEFT_BEHIND & set(name.parts))

    @cached_property
    def sources(self) -> list[Source]:
        names = [name for name in self.files if name.endswith(".py")]
        return [Source(name, (self.root / name).read_text(encoding="utf-8")) for name in names]

    @property
    def shipped(self) -> list[Source]:
        return [source for source in self.sources if source.path.startswith(("app/", "worker/"))]

    def texts(self) -> Iterator[tuple[str, str]]:
        for name in self.files:
            try:
                yield name, (self.root / name).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


@dataclass(frozen=True)
class Rule:
    """What must hold, what to do where it does not, and a sample of a breach."""

    find: Callable[[Project], Iterator[str]]
    remedy: str
    breach: Mapping[str, str]
    offences: int = 1

    def __str__(self) -> str:
        return self.find.__name__


def body_lines(node: FunctionNode) -> int:
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (node.end_lineno or node.lineno) - body[0].lineno + 1 if body else 0


def parameters(node: FunctionNode) -> list[ast.arg]:
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    return [argument for argument in every if argument.arg not in {"self", "cls"}]


def long_functions(project: Project) -> Iterator[str]:
    for source in project.sources:
        for node in source.functions:
            if body_lines(node) > MOST_BODY_LINES:
                yield source.at(node, f"{node.name} has {body_lines(node)} lines")


def long_files(project: Project) -> Iterator[str]:
    for source in project.sources:
        lines = source.text.count("\n")
        if lines > MOST_FILE_LINES:
            yield f"{source.path} has {lines} lines"


def long_functions_on_the_whole(project: Project) -> Iterator[str]:
    sizes = sorted(body_lines(node) for source in project.shipped for node in source.functions)
    if not sizes:
        return
    median, nine_in_ten = statistics.median(sizes), sizes[int(len(sizes) * 0.9)]
    if median > MEDIAN_BODY_LINES or nine_in_ten > NINE_IN_TEN_BODY_LINES:
        yield f"the median is {median} lines, nine in ten have {nine_in_ten} or fewer"


def many_parameters(project: Project) -> Iterator[str]:
    for source in project.sources:
        for node in source.functions:
            if len(parameters(node)) > MOST_PARAMETERS:
                yield source.at(node, f"{node.name} takes {len(parameters(node))}")


def missing_annotations(project: Project) -> Iterator[str]:
    for source in project.sources:
        for node in source.functions:
            bare = [argument.arg for argument in parameters(node) if argument.annotation is None]
            if node.returns is None:
                bare.append("return")
            if bare:
                yield source.at(node, f"{node.name}: {', '.join(bare)}")


def missing_docstrings(project: Project) -> Iterator[str]:
    for source in project.shipped:
        if ast.get_docstring(source.tree) is None:
            yield f"{source.path}:1 the module"
        owners = [node for node in source.tree.body if isinstance(node, ast.ClassDef)]
        members = (node for owner in owners if is_public(owner) for node in owner.body)
        public = [*source.tree.body, *members]
        for node in public:
            if not isinstance(node, FunctionNode | ast.ClassDef) or not is_public(node):
                continue
            if ast.get_docstring(node) is None:
                yield source.at(node, node.name)


def is_public(node: FunctionNode | ast.ClassDef) -> bool:
    return not node.name.startswith("_") and not is_overload(node)


def is_overload(node: FunctionNode | ast.ClassDef) -> bool:
    return any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)


def borrowed_names(project: Project) -> Iterator[str]:
    taken = sys.stdlib_module_names | dependency_modules()
    for source in project.sources:
        path = Path(source.path)
        for name in {path.stem, path.parent.name}:
            if name in DRAWERS or (source in project.shipped and name in taken):
                yield source.path


def dependency_modules() -> set[str]:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*declared["dependencies"], *declared["optional-dependencies"]["dev-server"]]
    names = {re.split(r"[\[<>=~! ;]", line, maxsplit=1)[0].lower() for line in lines}
    modules = packages_distributions().items()
    return {module for module, owners in modules if names & {owner.lower() for owner in owners}}


def crowded_folders(project: Project) -> Iterator[str]:
    modules = [Path(source.path) for source in project.shipped]
    count = Counter(path.parent.as_posix() for path in modules if path.name != "__init__.py")
    yield from (f"{folder}/ has {n} modules" for folder, n in count.items() if n > MOST_MODULES)


def strays(project: Project) -> Iterator[str]:
    for name in project.files:
        top, *rest = name.split("/")
        in_a_new_room = top in ROOMS and len(rest) > 1 and rest[0] not in ROOMS[top]
        if top not in TOP_LEVEL or in_a_new_room:
            yield name


def silenced_checks(project: Project) -> Iterator[str]:
    for source in project.sources:
        for number, line in enumerate(source.text.splitlines(), 1):
            if SILENCED.search(line) or UNEXPLAINED.search(line):
                yield f"{source.path}:{number} {line.strip()}"


def traces_of_a_machine(project: Project) -> Iterator[str]:
    for name, text in project.texts():
        for number, line in enumerate(text.splitlines(), 1):
            found = MACHINE_PATHS.search(line) or INDEX_HOSTS.search(line)
            if found:
                yield f"{name}:{number} {found.group()}"


def impure_calls(project: Project) -> Iterator[str]:
    for source in project.shipped:
        if not source.path.startswith(PURE):
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and called(node) in CLOCKS | {"open", "print"}:
                yield source.at(node, f"{ast.unparse(node.func)}()")


def called(node: ast.Call) -> str:
    return ast.unparse(node.func).rpartition(".")[2]


def patched_modules(project: Project) -> Iterator[str]:
    for source in project.sources:
        for node in ast.walk(source.tree):
            match node:
                case (
                    ast.ImportFrom(module="unittest.mock")
                    | ast.Import(names=[ast.alias("unittest.mock")])
                ):
                    yield source.at(node, "imports a mock")
                case ast.Call(func=ast.Attribute(value=ast.Name("monkeypatch"), attr="setattr")):
                    yield source.at(node, "patches")


GOOD_MODULE = '''"""What it is for."""

def send(self: object, a: int, *, b: int) -> int:
    """Send."""
    return a + b
'''
GOOD = {
    "app/accept.py": GOOD_MODULE,
    "worker/retry.py": GOOD_MODULE,
    "tests/test_accept.py": GOOD_MODULE,
    "README.md": "See docs/, and https://example.com/home/page.",
    ".venv/x.py": "(",
}


def function(lines: int) -> str:
    return "def f() -> None:\n" + "    f()\n" * lines


RULES = [
    Rule(
        long_functions,
        "Take a step at one level out into a function.",
        {"tests/x.py": function(41)},
    ),
    Rule(
        long_files,
        "Find the second subject in it, and give it a file.",
        {"bench/x.py": "x = 1\n" * 401},
    ),
    Rule(
        long_functions_on_the_whole,
        f"Aim: a median of {MEDIAN_BODY_LINES}, nine in ten {NINE_IN_TEN_BODY_LINES} or fewer.",
        {"app/x.py": function(1) * 8 + function(21) * 2},
    ),
    Rule(
        many_parameters,
        "Make a frozen dataclass of those that travel together.",
        {"worker/x.py": "def f(a: A, b: A, c: A, *, d: A, e: A, **f: A) -> A: ..."},
    ),
    Rule(
        missing_annotations,
        "Annotate each parameter and what is returned.",
        {"tests/x.py": "def f(a): ..."},
    ),
    Rule(
        missing_docstrings,
        "Say what it promises: what None means, what is raised, units.",
        {"app/x.py": "class A:\n def f(self) -> None: ..."},
        offences=3,
    ),
    Rule(
        borrowed_names,
        "Name it by its subject.",
        {"app/utils.py": "", "app/arq.py": "", "worker/email.py": ""},
        offences=3,
    ),
    Rule(
        crowded_folders,
        f"A folder has {MOST_MODULES} modules at most: give the second subject a room of its own.",
        {f"app/api/m{number}.py": "" for number in range(13)},
    ),
    Rule(
        strays,
        "Put it in its room, or add a room to this file.",
        {"scratch.txt": "", "app/services/x.py": ""},
        offences=2,
    ),
    Rule(
        silenced_checks,
        "Obey the check; where a foreign type is wrong: type-ignore, its [code], # and the reason.",
        {"app/x.py": "import os  # no" + "qa\nx = 1  # type: ignor" + "e[misc]\n"},
        offences=2,
    ),
    Rule(
        traces_of_a_machine,
        "Name no package index and no folder of your machine.",
        {"docs/x.md": "see /hom" + "e/me/x", "requirements/x.txt": "https://pyp" + "i.org/simple"},
        offences=2,
    ),
    Rule(
        impure_calls,
        "Take the time, the chance or the bytes as an argument.",
        {"worker/retry.py": "x = datetime.now(UTC)", "app/mail/x.py": "y = open(z)"},
        offences=2,
    ),
    Rule(
        patched_modules,
        "Use the real part, or a fake that behaves (tests/fakes).",
        {"tests/x.py": "import unittest.mock\nmonkeypatch.setattr(app, 'x', 1)"},
        offences=2,
    ),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_project_keeps_the_rule(rule: Rule) -> None:
    offenders = list(rule.find(Project(ROOT)))
    assert not offenders, "\n".join([rule.remedy, *offenders])


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_rule_notices_a_breach(rule: Rule, tmp_path: Path) -> None:
    write(tmp_path, rule.breach)
    offenders = list(rule.find(Project(tmp_path)))
    assert len(offenders) == rule.offences, offenders


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_rule_lets_good_code_pass(rule: Rule, tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert list(rule.find(Project(tmp_path))) == []


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
