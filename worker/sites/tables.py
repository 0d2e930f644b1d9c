"""Files of the operator in TOML: read and checked when a worker starts, with a line for each mistake in them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from app.errors import ConfigurationError

T = TypeVar("T")

_MISTAKES = {
    "extra_forbidden": "there is no such key",
    "missing": "it is missing",
    "model_type": "it has to be a table",
}
"""What is wrong, where the library would say it in the words of programmers."""


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Let each line of a ConfigurationError that is raised here begin with the file that it is about."""
    try:
        yield
    except ConfigurationError as error:
        lines = (f"{path}: {line}" for line in error.detail.splitlines())
        raise ConfigurationError("\n".join(lines)) from error


def read_text(path: Path) -> str:
    """Return what a file holds. Raises ConfigurationError."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"cannot be read: {error}") from error


def parse_tables(text: str) -> dict[str, object]:
    """Return the tables of a TOML text. Raises ConfigurationError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"this is not TOML: {error}") from error


def check(model: TypeAdapter[T], tables: Mapping[str, object]) -> T:
    """Return what the tables describe.

    Raises ConfigurationError that tells each mistake with its place, as people count: `bulk.sources[2].ipv4: …`.
    """
    try:
        return model.validate_python(tables)
    except ValidationError as error:
        raise ConfigurationError("\n".join(map(_mistake, error.errors()))) from error


def _mistake(error: ErrorDetails) -> str:
    said = _MISTAKES.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    return f"{_place(error['loc'])}: {said}"


def _place(location: Sequence[int | str]) -> str:
    parts = (f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".").removesuffix(".[key]")
