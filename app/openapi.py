"""Writes `openapi/openapi.yaml` from the code, or says (`--check`) that it is out of date. For developers."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from app.main import create_app
from app.settings import DkimSettings, Settings

FILE = Path(__file__).parent.parent / "openapi" / "openapi.yaml"
_HEAD = "# Generated from the code: change it there, then run `make openapi`.\n"


class _Dumper(yaml.SafeDumper):
    """Writes long texts as blocks, and lists indented below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless  # lists always stand below their key
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def render() -> str:
    """Return the document as YAML; the same code always gives the same text."""
    app = create_app(Settings(dkim=DkimSettings(required=False)))
    body = yaml.dump(app.openapi(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return _HEAD + body


def check(file: Path) -> str:
    """Return what to do where `file` is not what the code says, with the differences; "" where it is."""
    found = file.read_text().splitlines() if file.exists() else []
    lines = difflib.unified_diff(
        found, render().splitlines(), str(file), "the code", lineterm="", n=1
    )
    difference = "\n".join(lines)
    return f"{difference}\n\n{file.name} is out of date: run `make openapi`" if difference else ""


def main(arguments: Sequence[str]) -> int:
    """Write the file, or with `--check` compare it; return the exit status."""
    if "--check" in arguments:
        remedy = check(FILE)
        sys.stderr.write(f"{remedy}\n" if remedy else "")
        return 1 if remedy else 0
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
