"""Write docs/settings.md from the settings' own docstrings; with --check, compare instead.

Run it as `python -m tools.settings_page`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.settings import Settings

_PAGE = Path("docs/settings.md")
_OPENING = """\
# Settings

Each is an environment variable, for the api and the worker alike. One that contradicts another, or has a value
that it cannot have, ends the start with a sentence that names it. Lists are JSON (`'["127.0.0.1:5353"]'`),
durations are seconds or have a unit (`90s`, `15m`, `4h`, `4d`). The defaults are those of a public mail server;
`pillarbox dev` sets others for itself.
"""


def page() -> str:
    """Return the whole page."""
    groups = (_group(name, info) for name, info in Settings.model_fields.items())
    return "\n".join((_OPENING, *groups))


def _group(name: str, info: FieldInfo) -> str:
    group = info.annotation
    assert isinstance(group, type)
    assert issubclass(group, BaseModel)
    rows = _rows(group, f"PILLARBOX_{name.upper()}")
    heading = (
        f"## {name}",
        "",
        group.__doc__,
        "",
        "| variable | default | what |",
        "|---|---|---|",
    )
    return "\n".join(map(str, (*heading, *rows, "")))


def _rows(group: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, info in group.model_fields.items():
        variable, inner = f"{prefix}__{name.upper()}", info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _rows(inner, variable)
        else:
            yield f"| `{variable}` | {_default(info)} | {info.description} |"


def _default(info: FieldInfo) -> str:
    if info.default_factory is not None:
        return "of the machine"
    return _text(info.default) or "none"


def _text(value: object) -> str:
    match value:
        case timedelta():
            return f"`{_duration(value)}`"
        case tuple():
            return ", ".join(map(_text, value))
        case bool():
            return f"`{str(value).lower()}`"
        case None:
            return ""
        case _:
            return f"`{value}`"


def _duration(value: timedelta) -> str:
    seconds = value.total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def main() -> int:
    """Write or compare the page; return the exit code."""
    if "--check" not in sys.argv[1:]:
        _PAGE.write_text(page())
    elif _PAGE.read_text() != page():
        sys.stderr.write(
            f"{_PAGE} does not say what the settings are: run `make openapi` and commit it\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
