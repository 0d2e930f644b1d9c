"""MTA-STS as it is written (RFC 8461): the record in the DNS, the policy, and which hosts it lists. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.spool.workers.policies import Mode, StsPolicy
from worker.outcomes.handshake import TlsFailure

MOST_BYTES = 64 * 1024
"""Longer policies are not read (RFC 8461 §3.3)."""

_LONGEST_LIFE = timedelta(seconds=31_557_600)
"""The most that `max_age` may be (RFC 8461 §3.2); a longer one counts as this."""

_VERSION = re.compile(rb"v=STSv1[ \t]*;")
_KEY = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}"
_FIELD = re.compile(rf"({_KEY})=([\x21-\x3a\x3c\x3e-\x7e]+)")
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_LINE = re.compile(rf"({_KEY}):[ \t]*([^\s](?:.*[^\s])?)[ \t]*")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE)
_MAX_AGE = re.compile(r"[0-9]{1,10}")


class PolicyError(Exception):
    """A policy cannot be had; `reason` says why in one line, `failure` in the words of TLS reports."""

    def __init__(self, reason: str, failure: TlsFailure = TlsFailure.STS_INVALID) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Rules:
    """What a policy says."""

    mode: Mode
    hosts: tuple[str, ...]
    max_age: timedelta

    def fetched(self, id_: str, at: datetime) -> StsPolicy:
        """Return the policy that was fetched at that time, under the id that the DNS had for it."""
        return StsPolicy(id_, self.mode, self.hosts, at, at + self.max_age)


def parse_record(texts: Iterable[bytes]) -> str | None:
    """Return the id that the TXT records of `_mta-sts.<domain>` give; None where there is no policy.

    RFC 8461 §3.1: of the records that begin with the version exactly one may be there, and a record
    that breaks the grammar counts as none.
    """
    records = [text for text in texts if _VERSION.match(text)]
    if len(records) != 1 or not records[0].isascii():
        return None
    _, *fields = records[0].decode().split(";")
    if not fields[-1].strip(" \t"):
        fields.pop()
    pairs = [_FIELD.fullmatch(field.strip(" \t")) for field in fields]
    ids = [pair[2] for pair in pairs if pair and pair[1] == "id"]
    is_written_well = all(pairs) and len(ids) == 1 and _ID.fullmatch(ids[0])
    return ids[0] if is_written_well else None


def parse_policy(body: bytes) -> Rules:
    """Read a policy (RFC 8461 §3.2). Unknown fields count as not there, of doubled ones the first counts.

    Raises PolicyError for what breaks the grammar or lacks a field.
    """
    fields = _fields(body)
    if _one(fields, "version") != "STSv1":
        raise PolicyError("the version of the policy is not STSv1")
    mode, max_age = _one(fields, "mode"), _one(fields, "max_age")
    if mode not in set(Mode):
        raise PolicyError(f"the policy has an unknown mode: {mode[:40]!a}")
    if not _MAX_AGE.fullmatch(max_age):
        raise PolicyError(f"max_age of the policy is no number of seconds: {max_age[:40]!a}")
    hosts = tuple(value.lower() for key, value in fields if key == "mx")
    if wrong := next((host for host in hosts if not _HOST.fullmatch(host)), None):
        raise PolicyError(f"the policy lists what is no host: {wrong[:80]!a}")
    if not hosts and mode != Mode.NONE:
        raise PolicyError("the policy lists no mx")
    return Rules(Mode(mode), hosts, min(timedelta(seconds=int(max_age)), _LONGEST_LIFE))


def lists(policy: StsPolicy, host: str) -> bool:
    """Tell whether a policy lists a host (RFC 8461 §4.1): `*.` stands for exactly one label."""
    name = host.lower().rstrip(".")
    _, _, parent = name.partition(".")
    return name in policy.hosts or (bool(parent) and f"*.{parent}" in policy.hosts)


def _fields(body: bytes) -> Sequence[tuple[str, str]]:
    try:
        lines = body.decode().replace("\r\n", "\n").rstrip("\n").split("\n")
    except UnicodeDecodeError:
        raise PolicyError("the policy is not UTF-8") from None
    found: list[tuple[str, str]] = []
    for line in lines:
        pair = _LINE.fullmatch(line)
        if pair is None:
            raise PolicyError(f"the policy has a line that is no `key: value`: {line[:80]!a}")
        found.append((pair[1], pair[2]))
    return found


def _one(fields: Iterable[tuple[str, str]], wanted: str) -> str:
    value = next((value for key, value in fields if key == wanted), None)
    if value is None:
        raise PolicyError(f"the policy has no {wanted}")
    return value
