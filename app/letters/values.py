"""The values of variables: decoded afresh for each letter, in forms that show templates nothing but data.

The engine lets a template see the attributes of Python objects, methods too. So objects and lists of JSON
become forms whose methods are hidden: `order.items` is the field of that name, or it is missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NewType

import orjson

from app.errors import FieldError, InvalidRequest

Variables = NewType("Variables", bytes)
"""Values by name, as JSON: nobody holds a part of it who could change it."""

NO_VARIABLES = Variables(b"{}")
MAX_BYTES = 256 * 1024
MAX_DEPTH = 20


class Hidden:
    """A method of a built-in type that templates shall not see."""

    def __get__(self, instance: object, owner: type) -> Hidden:
        if instance is None:
            return self
        raise AttributeError("templates see fields and no methods")


class Fields(dict[str, object]):
    """An object of JSON."""

    _lacks_items = False

    def __missing__(self, name: str) -> object:
        self._lacks_items = name == "items"
        raise KeyError(name)


class Rows(list[object]):
    """A list of JSON."""


def _items(fields: Fields) -> None:
    """Be there, since the engine takes what has `items` for a mapping, but not in place of a missing field."""
    if fields._lacks_items:
        fields._lacks_items = False
        raise AttributeError("items")


_HIDDEN: Mapping[type, str] = MappingProxyType(
    {
        Fields: "clear copy fromkeys get keys pop popitem setdefault update values",
        Rows: "append clear copy count extend index insert pop remove reverse sort",
    }
)
for _form, _methods in _HIDDEN.items():
    for _method in _methods.split():
        setattr(_form, _method, Hidden())
type.__setattr__(Fields, "items", property(_items))


def pack(values: Mapping[str, object]) -> Variables:
    """Return values in the form that letters take. Raises InvalidRequest for what JSON or mail cannot hold."""
    _check(values, 0)
    try:
        packed = orjson.dumps(values)
    except TypeError as error:
        raise _refused(
            "lone_surrogate", "holds half of a surrogate pair: send well-formed Unicode"
        ) from error
    if len(packed) > MAX_BYTES:
        raise _refused("too_long", f"has {len(packed)} bytes; {MAX_BYTES} are allowed")
    return Variables(packed)


def unpack(variables: Variables) -> dict[str, object]:
    """Return the values by name, each object and list fresh."""
    return {name: _shown(value) for name, value in orjson.loads(variables).items()}


def _shown(value: object) -> object:
    if isinstance(value, dict):
        return Fields({name: _shown(part) for name, part in value.items()})
    if isinstance(value, list):
        return Rows(map(_shown, value))
    return value


def _check(value: object, depth: int) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise _refused("invalid_value", "holds a number that is too large: send it as a string")
    parts = (
        value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    )
    if parts and depth == MAX_DEPTH:
        raise _refused("too_deep", f"is nested deeper than {MAX_DEPTH} levels")
    for part in parts:
        _check(part, depth + 1)


def _refused(code: str, detail: str) -> InvalidRequest:
    return InvalidRequest((FieldError("/variables", code, detail),))
