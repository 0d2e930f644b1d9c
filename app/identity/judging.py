"""Whether values that stand in the DNS do what a record is there for: DKIM keys, SPF, DMARC, MX. Pure.

Each function takes all values of a name and the wanted one. What it says is meant for who has to change them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

_LEAST_CUT = 20
_MOST_LOOKUPS = 10
"""SPF terms that ask the DNS (RFC 7208 §4.6.4)."""
_ASKS = re.compile(
    r"[+?~-]?(?:include:|a(?:[:/]|$)|mx(?:[:/]|$)|ptr(?::|$)|exists:)|redirect=", re.IGNORECASE
)
_ALL = re.compile(r"[+?~-]?all", re.IGNORECASE)
_SPACES = re.compile(r"\s+")


class State(StrEnum):
    """What one server's values come to."""

    OK = "ok"
    """They do."""
    MISSING = "missing"
    """There is nothing of this kind."""
    WRONG = "wrong"
    """What there is does not do."""
    SEVERAL = "several"
    """Only one may be there."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What values come to, what is to be said of them, and the exact value that should be there."""

    state: State
    detail: str
    value: str


def dkim(values: Sequence[str], wanted: str) -> Judgement:
    """Judge the key at a selector (RFC 6376 §3.6.1, RFC 8463 §4)."""
    keys = [value for value in values if "p=" in value or "DKIM1" in value]
    if not keys:
        other = ": what stands there is no DKIM key" if values else ""
        return Judgement(State.MISSING, f"there is no key{other}", wanted)
    if len(keys) > 1:
        detail = f"{len(keys)} records stand here, and receivers may read any of them: leave one"
        return Judgement(State.SEVERAL, detail, wanted)
    flaw = _scar(keys[0]) or _flaw_of_key(_tags(keys[0]), _tags(wanted))
    if flaw:
        return Judgement(State.WRONG, flaw, wanted)
    is_tested = "y" in _tags(keys[0]).get("t", "").split(":")
    note = "t=y says that the key is only tried out: leave it away" if is_tested else ""
    return Judgement(State.OK, note, wanted)


def spf(values: Sequence[str], wanted: str) -> Judgement:
    """Judge the SPF record of a name (RFC 7208 §3, §4): one, that lets our hosts send."""
    records = [value for value in values if _is_spf(value)]
    if not records:
        quoted = any("v=spf1" in value.lower() for value in values)
        detail = "it begins with something else than v=spf1" if quoted else "there is no SPF record"
        return Judgement(State.WRONG if quoted else State.MISSING, detail, wanted)
    ours = [term for term in wanted.split()[1:] if not _ALL.fullmatch(term)]
    merged = _merged(records, ours, wanted)
    if len(records) > 1:
        detail = (
            f"{len(records)} SPF records stand here, so that receivers take none (RFC 7208 §4.5): "
            "replace them by one"
        )
        return Judgement(State.SEVERAL, detail, merged)
    if flaw := _flaw_of_spf(records[0], ours):
        return Judgement(State.WRONG, flaw, merged)
    return Judgement(State.OK, _note_on_spf(records[0]), records[0])


def dmarc(values: Sequence[str], wanted: str) -> Judgement:
    """Judge a DMARC record (RFC 7489 §6.3): any policy does, where receivers can read it."""
    records = [value for value in values if value.lstrip().lower().startswith("v=dmarc1")]
    if not records:
        return Judgement(State.MISSING, "there is no DMARC record", wanted)
    if len(records) > 1:
        detail = f"{len(records)} DMARC records stand here, so that receivers take none: leave one"
        return Judgement(State.SEVERAL, detail, records[0])
    tags = _tags(records[0])
    if flaw := _scar(records[0]) or _flaw_of_dmarc(tags):
        return Judgement(State.WRONG, flaw, wanted)
    return Judgement(State.OK, "; ".join(_notes_on_dmarc(tags)), records[0])


def exchanger(values: Sequence[str], wanted: str) -> Judgement:
    """Judge the MX records of a return path, written as preference and host: ours, and no other."""
    host = wanted.split()[-1].lower()
    found = [value.partition(" ")[2].strip().rstrip(".").lower() for value in values]
    if not found:
        return Judgement(State.MISSING, "there is no MX record", wanted)
    others = [name for name in found if name != host]
    if not others:
        return Judgement(State.OK, "", wanted)
    if host not in found:
        detail = f"mail goes to {others[0] or 'nobody'} instead of {host}"
        return Judgement(State.WRONG, detail, wanted)
    detail = f"mail may go to {others[0]} too, where nobody reads what receivers return: leave {host} alone"
    return Judgement(State.WRONG, detail, wanted)


def _tags(record: str) -> Mapping[str, str]:
    """Return the tags of a list (RFC 6376 §3.2), without any white space in their values."""
    pairs = (part.partition("=") for part in record.split(";") if part.strip())
    return {name.strip().lower(): _SPACES.sub("", value) for name, _, value in pairs}


def _scar(record: str) -> str:
    """Return what copying has done to a record, or an empty text."""
    if '"' in record or "\u201c" in record:
        return (
            "its value holds quotation marks: enter it without them, the form adds those it needs"
        )
    if "\\" in record:
        return "its value holds backslashes: enter it as it is, the form escapes what it has to"
    if any(ord(character) < 32 for character in record):
        return "its value holds line breaks or tabs: enter it in one line"
    return ""


def _flaw_of_key(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Return why verifiers would not take our signatures, or an empty text."""
    key, ours = found.get("p"), wanted["p"]
    if key is None:
        return "it has no p=, so there is no key in it"
    if not key and ours:
        return "its p= is empty, which says that the key was revoked"
    if not ours:
        return "the key was revoked, and its record still lets it pass: empty its p=" if key else ""
    if key != ours and len(key) >= _LEAST_CUT and ours.startswith(key):
        return (
            f"its key was cut off after {len(key)} of {len(ours)} characters: enter the whole value"
        )
    if key != ours:
        return "it holds another key"
    return _flaw_of_terms(found, wanted)


def _flaw_of_terms(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    if found.get("v", "DKIM1") != "DKIM1" or ("v" in found and next(iter(found)) != "v"):
        return "it must begin with v=DKIM1"
    kind, ours = found.get("k", "rsa"), wanted.get("k", "rsa")
    if kind != ours:
        return f"it says k={kind}, and the key is one of k={ours}"
    if "sha256" not in found.get("h", "sha256").split(":"):
        return f"h={found['h']} forbids the hash that signatures are made with, sha256"
    if not {"*", "email"} & set(found.get("s", "*").split(":")):
        return f"s={found['s']} forbids the key for mail"
    return ""


def _is_spf(value: str) -> bool:
    return value.lower() == "v=spf1" or value.lower().startswith("v=spf1 ")


def _flaw_of_spf(record: str, ours: Iterable[str]) -> str:
    if flaw := _scar(record):
        return flaw
    terms = [term.lower() for term in record.split()[1:]]
    everyone = next((place for place, term in enumerate(terms) if _ALL.fullmatch(term)), None)
    before = {term.removeprefix("+") for term in terms[:everyone]}
    lacking = [term for term in ours if term.lower().removeprefix("+") not in before]
    if everyone is not None and terms[everyone] in {"all", "+all"}:
        return "it ends with +all, which lets everybody send"
    if lacking:
        behind = all(term.lower() in terms for term in lacking)
        where = "stands behind its `all`, where nobody reads it" if behind else "is not in it"
        return f"{' '.join(lacking)} {where}"
    asks = sum(bool(_ASKS.match(term)) for term in terms)
    if asks > _MOST_LOOKUPS:
        return (
            f"{asks} of its terms ask the DNS, and receivers give up after {_MOST_LOOKUPS} "
            "(RFC 7208 §4.6.4): remove those that are no longer needed"
        )
    return ""


def _note_on_spf(record: str) -> str:
    terms = [term.lower() for term in record.split()[1:]]
    ends = [term for term in terms if _ALL.fullmatch(term)]
    if "~all" in ends:
        return "~all: mail from elsewhere is marked and not refused"
    if "?all" in ends or not (ends or any(term.startswith("redirect=") for term in terms)):
        return "it says nothing of mail from elsewhere: end it with ~all or -all"
    return ""


def _merged(records: Sequence[str], ours: Iterable[str], wanted: str) -> str:
    """Return one record with all that is allowed in these, our terms first."""
    terms = [term for record in records for term in record.replace('"', "").split()[1:]]
    ends = [term for term in terms if _ALL.fullmatch(term) and term.lower() not in {"all", "+all"}]
    end = ends[0] if ends else wanted.split()[-1]
    kept = (term for term in terms if not _ALL.fullmatch(term))
    return " ".join(dict.fromkeys(["v=spf1", *ours, *kept, end]))


def _flaw_of_dmarc(tags: Mapping[str, str]) -> str:
    if next(iter(tags)) != "v" or tags["v"] != "DMARC1":
        return "it must begin with v=DMARC1, in capitals"
    policy = tags.get("p")
    if policy is None:
        return "it has no p=, so receivers do not know what to do"
    if policy.lower() not in {"none", "quarantine", "reject"}:
        return f"p={policy} is no policy: write none, quarantine or reject"
    return ""


def _notes_on_dmarc(tags: Mapping[str, str]) -> Iterable[str]:
    if tags["p"].lower() == "none":
        yield "p=none only watches: go on to quarantine and reject once the reports (rua=) are clean"
    if tags.get("adkim", "r").lower() == "s":
        yield "adkim=s is strict: mail from names below the domain is not aligned by DKIM"
    if tags.get("aspf", "r").lower() == "s":
        yield "aspf=s is strict: the return path is another name, so that DKIM alone is aligned"


def dmarc_tags(values: Sequence[str]) -> Mapping[str, str] | None:
    """Return the tags of the one DMARC record among these values; None where receivers would take none."""
    if dmarc(values, "").state is not State.OK:
        return None
    return _tags(next(value for value in values if value.lstrip().lower().startswith("v=dmarc1")))
