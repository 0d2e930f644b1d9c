"""Alignment: whether what receivers can prove of a mail speaks for the domain in From (RFC 7489 §3.1). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.identity.judging import dmarc_tags
from app.identity.names import with_parents
from app.identity.suffixes import is_public_suffix
from app.rehearsal.prospects import Published


class Mode(StrEnum):
    """How alike two domains have to be."""

    RELAXED = "relaxed"
    """They belong to the same registered domain."""
    STRICT = "strict"
    """They are the same."""


@dataclass(frozen=True, slots=True)
class Dmarc:
    """The record that holds for a domain, where it stands, and what it says."""

    name: str
    policy: str
    dkim: Mode
    spf: Mode


@dataclass(frozen=True, slots=True)
class Alignment:
    """The domains that a mail speaks for, and whether each is aligned with that in From.

    `signers` are the domains of DKIM signatures. `dmarc` is None where no record was found, or where nobody could
    look (`is_known`): then relaxed is meant, as it is by default.
    """

    author: str
    signers: tuple[str, ...]
    return_path: str
    dmarc: Dmarc | None
    is_known: bool

    @property
    def by_dkim(self) -> bool:
        """Tell whether a signature speaks for the author."""
        mode = self.dmarc.dkim if self.dmarc else Mode.RELAXED
        return any(_is_aligned(signer, self.author, mode) for signer in self.signers)

    @property
    def by_spf(self) -> bool:
        """Tell whether the return path does, where its SPF record lets us send."""
        mode = self.dmarc.spf if self.dmarc else Mode.RELAXED
        return _is_aligned(self.return_path, self.author, mode)


def dmarc_of(published: Published) -> Dmarc | None:
    """Return what a published record says; None where receivers would take none."""
    tags = dmarc_tags(published.values)
    if tags is None:
        return None
    is_above = bool(tags.get("sp")) and not published.is_own
    policy = tags["sp"] if is_above else tags["p"]
    return Dmarc(published.name, policy.lower(), _mode(tags.get("adkim")), _mode(tags.get("aspf")))


def registered(domain: str) -> str:
    """Return the part of a domain that somebody registered, as far as suffixes are known here."""
    names: Sequence[str] = [each for each in with_parents(domain) if not is_public_suffix(each)]
    return names[-1] if names else domain


def _mode(written: str | None) -> Mode:
    return Mode.STRICT if (written or "r").lower() == "s" else Mode.RELAXED


def _is_aligned(domain: str, author: str, mode: Mode) -> bool:
    if mode is Mode.STRICT:
        return domain == author
    return registered(domain) == registered(author)
