"""From pydantic's errors to ours: where (a JSON pointer, RFC 6901), which kind, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.errors import FieldError, pointer_step

_MOST = 100
"""How many errors one answer names; whoever sends more has no use for all of them."""

# Kinds of pydantic -> our stable code and its sentence; kinds of our own (`app.api.fields`) pass as they are.
_KNOWN: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "missing": ("required", "is required"),
        "extra_forbidden": ("unknown_field", "is not a field of this request"),
        "string_type": ("wrong_type", "must be a string"),
        "list_type": ("wrong_type", "must be a list"),
        "dict_type": ("wrong_type", "must be an object"),
        "model_type": ("wrong_type", "must be an object"),
        "model_attributes_type": ("wrong_type", "must be an object"),
        "bool_type": ("wrong_type", "must be true or false"),
        "int_type": ("wrong_type", "must be a whole number"),
        "string_unicode": (
            "lone_surrogate",
            "a name holds half of a surrogate pair: send well-formed Unicode",
        ),
        "string_too_long": ("too_long", "must have at most {max_length} characters"),
        "string_too_short": ("too_short", "must have at least {min_length} character(s)"),
        "too_long": ("too_many", "must have at most {max_length} items"),
        "too_short": ("too_short", "must have at least {min_length} item(s)"),
        "string_pattern_mismatch": ("invalid_value", "does not have the form {pattern}"),
        "greater_than_equal": ("out_of_range", "must be at least {ge}"),
        "less_than_equal": ("out_of_range", "must be at most {le}"),
        "enum": ("unknown_value", "must be one of {expected}"),
    }
)


_NOWHERE = object()


def field_errors(error: ValidationError, document: object) -> tuple[FieldError, ...]:
    """Return the refused fields of `document`, in the order they were found, at most a hundred."""
    if error.error_count() > _MOST:
        detail = f"{error.error_count()} fields are wrong, too many to name each"
        return (FieldError("", "too_many_errors", detail),)
    return tuple(
        _field_error(item, document)
        for item in error.errors(include_url=False, include_input=False)
    )


def _field_error(item: ErrorDetails, document: object) -> FieldError:
    context = item.get("ctx", {})
    # An error of our own brings its sentence along, and may share the name of one of pydantic's.
    known = None if "sentence" in context else _KNOWN.get(item["type"])
    code, detail = (
        (known[0], known[1].format_map(context)) if known else (item["type"], item["msg"])
    )
    return FieldError(pointer(_steps(item["loc"], document)), code, detail)


def pointer(steps: Iterable[str | int]) -> str:
    """Return the JSON pointer of a place; "" is the whole document."""
    return "".join(f"/{pointer_step(_clean(str(step)))}" for step in steps)


def _steps(location: Sequence[str | int], document: object) -> Iterator[str | int]:
    """Yield the steps that lead somewhere in the document; pydantic adds names of its own for unions and keys."""
    for number, step in enumerate(location):
        child = _child(document, step)
        if child is not _NOWHERE:
            yield step
            document = child
        elif number == len(location) - 1 and isinstance(document, dict) and step != "[key]":
            yield step  # a field that is missing


def _child(document: object, step: str | int) -> object:
    if isinstance(document, dict):
        return document.get(step, _NOWHERE)
    if isinstance(document, list) and isinstance(step, int):
        return document[step]
    return _NOWHERE


def _clean(step: str) -> str:
    """Keep a pointer writable: a key of the request may hold lone surrogates or be very long."""
    return step[:200].encode("utf-8", "replace").decode()
