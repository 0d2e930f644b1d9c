"""The DNS records that a domain has to publish, and how they are written into a zone file. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

_MAX_STRING = 255
"""Octets of one string of a TXT record (RFC 1035 §3.3.14)."""
_TTL_S = 3600
_PREFERENCE = 10


class Purpose(StrEnum):
    """What a record is for."""

    DKIM = "dkim"
    """A key that mail of the domain is signed with, and by which the project proves that the domain is its own."""
    RETURN_PATH = "return_path"
    """Who may send with the return path (SPF): receivers look there, not at the domain of From."""
    RETURN_PATH_MX = "return_path_mx"
    """Where mail to the return path goes: what receivers return later."""
    SPF = "spf"
    """Who may send with addresses of the domain itself."""
    DMARC = "dmarc"
    """What receivers shall do with mail that proves nothing."""


class RecordType(StrEnum):
    """The type of a record."""

    TXT = "TXT"
    """Text in strings."""
    MX = "MX"
    """A mail exchanger, with its preference in front."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a DKIM key. Where it `is_required`, mail is or will be signed with it."""

    selector: str
    value: str
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class Record:
    """A record to publish. `name` has no final dot; `value` is what stands in it, without quotes."""

    purpose: Purpose
    name: str
    type: RecordType
    value: str
    is_required: bool

    @property
    def zone_line(self) -> str:
        """The record as a line of a zone file (RFC 1035 §5.1)."""
        value = _quoted(self.value) if self.type is RecordType.TXT else f"{self.value}."
        return f"{self.name}. {_TTL_S} IN {self.type} {value}"


@dataclass(frozen=True, slots=True)
class Hosts:
    """What is the same for all domains of an installation.

    `senders` are the SPF terms that name where its mail leaves from, `exchanger` takes mail to return paths.
    """

    senders: tuple[str, ...] = ()
    exchanger: str | None = None


def records_of(
    domain: str, return_path: str, keys: Sequence[PublicKey], hosts: Hosts
) -> tuple[Record, ...]:
    """Return what a domain has to publish, the required ones first.

    Records that only the settings could tell are left out where they do not.
    """
    found = list(dkim_records(domain, keys))
    terms = " ".join(hosts.senders)
    if terms:
        found.append(_text(Purpose.RETURN_PATH, return_path, f"v=spf1 {terms} -all", True))
    if hosts.exchanger:
        value = f"{_PREFERENCE} {hosts.exchanger}"
        found.append(
            Record(Purpose.RETURN_PATH_MX, return_path, RecordType.MX, value, is_required=True)
        )
    if terms:
        found.append(_text(Purpose.SPF, domain, f"v=spf1 {terms} ~all", False))
    found.append(_text(Purpose.DMARC, f"_dmarc.{domain}", "v=DMARC1; p=none", False))
    return tuple(found)


def dkim_records(domain: str, keys: Iterable[PublicKey]) -> tuple[Record, ...]:
    """Return the records of these keys (RFC 6376 §3.6.2.1)."""
    return tuple(
        _text(Purpose.DKIM, f"{key.selector}._domainkey.{domain}", key.value, key.is_required)
        for key in keys
    )


def zone_of(domain: str, records: Iterable[Record]) -> str:
    """Return all records as a part of a zone file."""
    lines = [f"; records of {domain}"]
    for record in records:
        advice = "" if record.is_required else " (advised; keep what you have)"
        lines += [f"; {record.purpose}{advice}", record.zone_line]
    return "\n".join(lines) + "\n"


def _text(purpose: Purpose, name: str, value: str, is_required: bool) -> Record:
    return Record(purpose, name, RecordType.TXT, value, is_required)


def _quoted(text: str) -> str:
    strings = (text[start : start + _MAX_STRING] for start in range(0, len(text), _MAX_STRING))
    return " ".join(f'"{_escaped(string)}"' for string in strings)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
