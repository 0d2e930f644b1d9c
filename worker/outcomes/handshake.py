"""How TLS went when a session was opened, in the words of TLS reports (RFC 8460)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PolicyKind(StrEnum):
    """What the receiving domain asks for: `policy-type` (RFC 8460 §4.4)."""

    TLSA = "tlsa"
    """TLSA records, that is DANE."""
    STS = "sts"
    """An MTA-STS policy."""
    NONE = "no-policy-found"
    """Nothing: TLS is tried, and plain text does too."""


class TlsFailure(StrEnum):
    """Why a session failed what was asked for: `result-type` (RFC 8460 §4.3), those that we have a use for."""

    NO_STARTTLS = "starttls-not-supported"
    """The host offers no STARTTLS."""
    HOST_MISMATCH = "certificate-host-mismatch"
    """The certificate is for another name."""
    EXPIRED = "certificate-expired"
    """The certificate is out of date."""
    NOT_TRUSTED = "certificate-not-trusted"
    """No trusted authority stands behind the certificate."""
    VALIDATION = "validation-failure"
    """Anything else: TLS could not be agreed on, no TLSA record fits, or the policy does not list the host."""
    DNSSEC_INVALID = "dnssec-invalid"
    """The signatures of the DNS do not hold, or nobody can tell."""
    STS_FETCH = "sts-policy-fetch-error"
    """The MTA-STS policy could not be fetched."""
    STS_INVALID = "sts-policy-invalid"
    """The MTA-STS policy breaks the grammar."""
    STS_WEBPKI = "sts-webpki-invalid"
    """The host of the MTA-STS policy has no valid certificate."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The policy that was in force: its text line by line, or its TLSA records, and the hosts that it lists."""

    kind: PolicyKind = PolicyKind.NONE
    strings: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Handshake:
    """One session as it was opened, or one that was not to be. `failure` is None where TLS is as it was asked for.

    `local` is our address; `reason` is for people, in one line. What is not known is empty.
    """

    failure: TlsFailure | None = None
    host: str = ""
    address: str = ""
    local: str = ""
    reason: str = ""
    asked: Asked = Asked()
