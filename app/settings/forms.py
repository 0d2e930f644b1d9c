"""The forms of single settings: durations, rates, ports and names, as people write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: object) -> object:
    """Read `90`, `90s`, `15m`, `4h`, `4d`; anything else is left to pydantic, which knows ISO 8601."""
    if isinstance(value, str) and (found := _DURATION.fullmatch(value)):
        return timedelta(seconds=float(found[1]) * _UNITS[found[2]])
    return value


Seconds = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
_RATE = re.compile(r"([1-9][0-9]{0,6})/([smhd])")


def _interval(value: object) -> object:
    """Read `10/s`, `600/m`, `5000/h`, `20000/d` as the time between two mails."""
    if not isinstance(value, str) or not (found := _RATE.fullmatch(value)):
        raise ValueError(f"{value!r} is no rate; write mails and time as `600/m` (s, m, h or d)")
    return timedelta(seconds=_UNITS[found[2]]) / int(found[1])


Rate = Annotated[timedelta, BeforeValidator(_interval), Field(gt=timedelta(0))]
"""Mails over time, kept as the time between two of them."""
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=1, le=65535)]

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.?)+\Z", re.IGNORECASE)


def _is_host_name(value: str) -> str:
    if not _HOST_NAME.match(value):
        raise ValueError(
            f"{value!r} is no host name; set the name your sending address resolves to"
        )
    return value


HostName = Annotated[str, AfterValidator(_is_host_name)]


class Group(BaseModel):
    """Settings that belong together: frozen, and nothing unknown among them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
