"""The file that names the sources (`delivery.sources_file`), read and checked when a worker starts."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    model_validator,
)

from app.errors import ConfigurationError
from app.messages import Stream
from app.networks import family_of
from app.settings.forms import HostName
from worker.sites.sources import Pool, Source, WarmUp
from worker.sites.tables import check, naming, parse_tables, read_text

T = TypeVar("T")

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def _is_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a name has small letters, digits, `.`, `-` and `_`, 63 at most")
    return value


_Name = Annotated[str, AfterValidator(_is_name)]


def _not_empty(values: Collection[T]) -> Collection[T]:
    if not values:
        raise ValueError("there has to be one at least")
    return values


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _WarmUpTable(_Table):
    start: date
    mails: Annotated[tuple[Annotated[int, Field(ge=1)], ...], AfterValidator(_not_empty)]


def _one_host(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if address.is_unspecified or address.is_multicast or getattr(address, "scope_id", None):
        raise ValueError(f"{address} is not the address of one host")
    return address


class _SourceTable(_Table):
    name: _Name
    ehlo_name: HostName
    ipv4: Annotated[IPv4Address, AfterValidator(_one_host)] | None = None
    ipv6: Annotated[IPv6Address, AfterValidator(_one_host)] | None = None
    warm_up: _WarmUpTable | None = None

    @model_validator(mode="after")
    def _has_an_address(self) -> _SourceTable:
        if self.ipv4 is None and self.ipv6 is None:
            raise ValueError("a source needs `ipv4`, `ipv6` or both")
        return self

    def source(self) -> Source:
        """Return the source that the table describes."""
        return Source(
            name=self.name,
            ehlo_name=self.ehlo_name.rstrip("."),
            ipv4=str(self.ipv4) if self.ipv4 else None,
            ipv6=str(self.ipv6) if self.ipv6 else None,
            warm_up=WarmUp(self.warm_up.start, self.warm_up.mails) if self.warm_up else None,
        )


class _PoolTable(_Table):
    streams: Annotated[frozenset[Stream], AfterValidator(_not_empty)]
    sources: Annotated[tuple[_SourceTable, ...], AfterValidator(_not_empty)]


_POOLS = TypeAdapter(dict[_Name, _PoolTable])


def read_sources(path: Path) -> tuple[Pool, ...]:
    """Return the pools of the file, all of whose addresses this machine has.

    Raises ConfigurationError with a line for each mistake.
    """
    with naming(path):
        pools = parse_sources(read_text(path))
        _refuse(_foreign_addresses(pools))
    return pools


def parse_sources(text: str) -> tuple[Pool, ...]:
    """Return the pools of a TOML text. Raises ConfigurationError with a line for each mistake."""
    tables = check(_POOLS, parse_tables(text))
    pools = tuple(
        Pool(name, table.streams, tuple(each.source() for each in table.sources))
        for name, table in tables.items()
    )
    _refuse(_contradictions(pools))
    return pools


def _refuse(faults: Iterable[str]) -> None:
    if lines := "\n".join(faults):
        raise ConfigurationError(lines)


def _contradictions(pools: Sequence[Pool]) -> Iterator[str]:
    owners = Counter(stream for pool in pools for stream in pool.streams)
    for stream in Stream:
        if owners[stream] != 1:
            yield f"the stream {stream} has {owners[stream] or 'no'} pools; it needs one"
    sources = [source for pool in pools for source in pool.sources]
    yield from _doubles("name", [source.name for source in sources])
    yield from _doubles("address", [each for source in sources for each in source.addresses])


def _doubles(what: str, values: Sequence[str]) -> Iterator[str]:
    for value, times in Counter(values).items():
        if times > 1:
            yield f"the {what} {value} is given to {times} sources"


def _foreign_addresses(pools: Sequence[Pool]) -> Iterator[str]:
    for pool in pools:
        for source in pool.sources:
            for address in source.addresses:
                if reason := _cannot_bind(address):
                    yield f"{source.name}: {address} cannot be used on this machine: {reason}"


def _cannot_bind(address: str) -> str | None:
    """Bind a socket to the address, and return why that cannot be done."""
    try:
        with socket.socket(family_of(address), socket.SOCK_STREAM) as sock:
            sock.bind((address, 0))
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return "no interface has it"
        return os.strerror(error.errno) if error.errno else str(error)
    return None
