"""What a session, or the lack of one, says of TLS in the words of TLS reports (RFC 8460). Pure.

What only our message demands is no fault of the receiving domain: there a session with TLS is a success, and
one that was not opened for want of a certificate is not told.
"""

from __future__ import annotations

from dataclasses import replace

from app.events import Certificate, Peer, TlsPolicy
from app.spool.workers.policies import StsPolicy
from worker.outcomes.handshake import Asked, Handshake, PolicyKind, TlsFailure
from worker.policies.mtasts import PolicyError, lists
from worker.policies.policy import Bar, Policy
from worker.routing.answers import Tlsa
from worker.routing.hosts import Host

_KINDS = {
    TlsPolicy.MTA_STS: PolicyKind.STS,
    TlsPolicy.MTA_STS_TESTING: PolicyKind.STS,
    TlsPolicy.DANE: PolicyKind.TLSA,
}
_FAULTS = {
    Certificate.EXPIRED: TlsFailure.EXPIRED,
    Certificate.WRONG_NAME: TlsFailure.HOST_MISMATCH,
    Certificate.UNTRUSTED: TlsFailure.NOT_TRUSTED,
    Certificate.UNPINNED: TlsFailure.VALIDATION,
}
_DEMANDS = frozenset({TlsPolicy.VERIFIED, TlsPolicy.REQUIRETLS})


def opened(host: Host, peer: Peer, local: str) -> Handshake:
    """Return how TLS went in a session that was opened, and asked for TLS; `local` is our address."""
    failure = None
    if peer.tls is None:
        failure = TlsFailure.NO_STARTTLS
    elif host.policy.origin is TlsPolicy.MTA_STS_TESTING and peer.certificate:
        failure = _FAULTS.get(peer.certificate)
    return Handshake(failure, host.name, host.address, local, asked=asked(host.policy))


def refused(host: Host, certificate: Certificate | None, reason: str) -> Handshake:
    """Return how TLS went where the handshake failed, or the host's certificate its policy."""
    failure = _FAULTS.get(certificate) if certificate else None
    return _failed(host, failure or TlsFailure.VALIDATION, reason)


def without_tls(host: Host) -> Handshake:
    """Return how TLS went where a policy wants it and the host does not offer it."""
    return _failed(host, TlsFailure.NO_STARTTLS, "")


def barred(host: Host, bar: Bar) -> Handshake:
    """Return how TLS went with a host that its policy keeps us from connecting to."""
    is_dane = host.policy.origin is TlsPolicy.DANE
    return _failed(host, TlsFailure.DNSSEC_INVALID if is_dane else TlsFailure.VALIDATION, bar.text)


def is_told(handshake: Handshake, policy: Policy) -> bool:
    """Tell whether a handshake under this policy is the receiving domain's business."""
    return policy.origin not in _DEMANDS or handshake.failure in {None, TlsFailure.NO_STARTTLS}


def asked(policy: Policy) -> Asked:
    """Return what the receiving domain asks for; the text of an MTA-STS policy is added by `with_text`."""
    kind = _KINDS.get(policy.origin, PolicyKind.NONE)
    strings = tuple(map(_written, policy.tlsa)) if kind is PolicyKind.TLSA else ()
    return Asked(kind, strings)


def with_text(handshake: Handshake, sts: StsPolicy | None) -> Handshake:
    """Return a handshake under an MTA-STS policy with its text, and failed where it does not list the host."""
    if handshake.asked.kind is not PolicyKind.STS or sts is None:
        return handshake
    failure, reason = handshake.failure, handshake.reason
    if failure is None and not lists(sts, handshake.host):
        failure, reason = TlsFailure.VALIDATION, "the host is not among those of the policy"
    stated = Asked(PolicyKind.STS, _lines(sts), sts.hosts)
    return Handshake(failure, handshake.host, handshake.address, handshake.local, reason, stated)


def unprotected(handshake: Handshake, trouble: PolicyError) -> Handshake:
    """Return what a session says of an MTA-STS policy that is published but could not be had."""
    stated = Asked(PolicyKind.STS)
    return replace(handshake, failure=trouble.failure, reason=trouble.reason, asked=stated)


def _failed(host: Host, failure: TlsFailure, reason: str) -> Handshake:
    return Handshake(failure, host.name, host.address, reason=reason, asked=asked(host.policy))


def _lines(sts: StsPolicy) -> tuple[str, ...]:
    """Return a policy line by line (RFC 8461 §3.2, RFC 8460 §4.4)."""
    seconds = round((sts.expires_at - sts.fetched_at).total_seconds())
    hosts = (f"mx: {host}" for host in sts.hosts)
    return ("version: STSv1", f"mode: {sts.mode}", *hosts, f"max_age: {seconds}")


def _written(record: Tlsa) -> str:
    return f"{record.usage} {record.selector} {record.matching} {record.data.hex()}"
