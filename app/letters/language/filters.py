"""Filters of our own, beside those that the engine brings: what mail needs and the engine lacks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from types import MappingProxyType

_LETTER = re.compile(r"%(-?[A-Za-z%])")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MAX_FORMAT = 100
_MAX_DIGITS = 18
MAX_CALLS = 2_000
"""Uses of our filters in one rendering: the engine charges no fuel for the time that they take."""


def date(value: object, form: object = "%-d %B %Y") -> str:
    """Write a time of RFC 3339, or a date alone, in the way that `form` says; names are English.

    Raises ValueError. Our own letters and not `strftime`, which makes "%999999999d" as wide as it says.
    """
    if not isinstance(value, str) or not isinstance(form, str) or len(form) > _MAX_FORMAT:
        raise ValueError("date takes a time such as 2030-01-31T09:30:00Z, and a format")
    try:
        moment = datetime.fromisoformat(value[:_MAX_FORMAT])
    except ValueError as error:
        raise ValueError(
            f"date takes a time such as 2030-01-31T09:30:00Z, not {value[:40]!a}"
        ) from error
    known = _letters(moment)
    return _LETTER.sub(lambda found: _written(known, found[1]), form)


def _letters(moment: datetime) -> Mapping[str, str]:
    month, day, hour12 = (
        _MONTHS[moment.month - 1],
        _DAYS[moment.weekday()],
        (moment.hour + 11) % 12 + 1,
    )
    return {
        "d": f"{moment.day:02}", "-d": f"{moment.day}", "m": f"{moment.month:02}", "-m": f"{moment.month}",
        "Y": f"{moment.year:04}", "y": f"{moment.year % 100:02}", "B": month, "b": month[:3],
        "A": day, "a": day[:3],
        "H": f"{moment.hour:02}", "-H": f"{moment.hour}", "I": f"{hour12:02}", "-I": f"{hour12}",
        "M": f"{moment.minute:02}", "S": f"{moment.second:02}", "p": "AM" if moment.hour < 12 else "PM", "%": "%",
    }  # fmt: skip


def _written(known: Mapping[str, str], letter: str) -> str:
    if letter not in known:
        raise ValueError(f"date knows no %{letter}; it knows %{', %'.join(known)}")
    return known[letter]


def times(value: object, factor: object) -> int | float:
    """Multiply two numbers, as decimals and not as binary fractions: 0.1 times 3 is 0.3. Raises ValueError."""
    return _result(_number(value) * _number(factor))


def plus(value: object, more: object) -> int | float:
    """Add two numbers, as decimals. Raises ValueError."""
    return _result(_number(value) + _number(more))


def _result(number: Decimal) -> int | float:
    if abs(number) >= 10**_MAX_DIGITS:
        raise ValueError(f"the result has more than {_MAX_DIGITS} digits")
    return int(number) if number == number.to_integral_value() else float(number)


def _number(value: object) -> Decimal:
    if not isinstance(value, bool) and isinstance(value, int | float | str):
        try:
            number = Decimal(str(value)[:_MAX_FORMAT])
        except InvalidOperation:
            pass
        else:
            if number.is_finite() and abs(number.adjusted()) <= _MAX_DIGITS:
                return number
    raise ValueError(f"plus and times take numbers, not {str(value)[:40]!a}")


def truncate(value: object, length: object = 80, ending: object = "…") -> str:
    """Cut a text to `length` characters at most, ending included. Raises ValueError."""
    if not isinstance(value, str) or not isinstance(ending, str):
        raise ValueError("truncate takes a text, a length and an ending")
    if isinstance(length, bool) or not isinstance(length, int) or length < len(ending):
        raise ValueError("truncate takes a length that has room for its ending")
    return value if len(value) <= length else value[: length - len(ending)] + ending


_OWN: Mapping[str, Callable[..., object]] = MappingProxyType(
    {"date": date, "plus": plus, "times": times, "truncate": truncate}
)


class OwnFilters:
    """The filters of one template, which count how often they are used in one rendering."""

    def __init__(self) -> None:
        """Have none used yet."""
        self.left = MAX_CALLS
        self.by_name = {name: self._counted(function) for name, function in _OWN.items()}

    def _counted(self, function: Callable[..., object]) -> Callable[..., object]:
        def call(*values: object, **named: object) -> object:
            self.left -= 1
            if self.left < 0:
                raise ValueError(
                    f"{', '.join(_OWN)} are used more than {MAX_CALLS} times: loop over less"
                )
            return function(*values, **named)

        return call
