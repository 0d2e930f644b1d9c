"""TLS between mail servers: contexts to agree on it, what was agreed on, and whether that fulfils a policy."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.events import Category, Certificate
from worker.connector import verifying_context
from worker.policies.certificates import Chain, Judge, pinned, read_chain
from worker.policies.policy import Policy, Proof
from worker.routing.hosts import Host
from worker.smtp.trouble import InsecureTrouble

_DER = 2
"""How the `ssl` module calls that form inside."""
_EXPIRED = frozenset({9, 10})
_WRONG_NAME = frozenset({62, 64})
"""OpenSSL's numbers: not yet valid, has expired; host name and address mismatch."""


@dataclass(frozen=True, slots=True)
class Security:
    """What a connection came to: the version of TLS, the cipher, and what the certificate is worth."""

    version: str
    cipher: str
    certificate: Certificate


class Tls:
    """The contexts of a process, and who judges certificates.

    Both contexts are from TLS 1.2 on (RFC 8996): a host that has only older ones is met in plain text where no
    policy forbids it, as Postfix and mox do, rather than keep what is broken alive. They are built once, since
    that costs as much as some hundred mails.
    """

    def __init__(self, authorities: Path | None = None) -> None:
        """Trust the authorities in a PEM file, or those of the system. Raises ConfigurationError."""
        self._verifying = verifying_context(authorities)
        self._any = any_certificate_context()
        self._judge = Judge.trusting(self._verifying.get_ca_certs(binary_form=True))

    def context(self, policy: Policy) -> ssl.SSLContext:
        """Return the context for connections under a policy.

        Where TLSA records decide, and where nothing is to be proven, any certificate passes the handshake.
        """
        return self._verifying if policy.proof is Proof.CERTIFICATE else self._any

    def security(self, ssl_object: ssl.SSLObject, host: Host) -> Security:
        """Return what a handshake came to. Raises InsecureTrouble where that fails the policy of `host`."""
        policy = host.policy
        certificate = self._certificate(_sent_chain(ssl_object), host)
        if policy.proof is Proof.TLSA and certificate is not Certificate.PINNED:
            raise InsecureTrouble.by_certificate(host, certificate)
        cipher = ssl_object.cipher()
        return Security(ssl_object.version() or "", cipher[0] if cipher else "", certificate)

    def _certificate(self, chain: Chain | None, host: Host) -> Certificate:
        policy, now = host.policy, datetime.now(UTC)
        match policy.proof:
            case Proof.CERTIFICATE:
                return Certificate.VALID  # the handshake would have failed
            case Proof.TLSA:
                return pinned(chain, policy.tlsa, policy.names, now)
            case _:
                return self._judge.verdict(chain, host.name, now)


def any_certificate_context() -> ssl.SSLContext:
    """Return a context that takes any certificate (RFC 7435), from TLS 1.2 on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def handshake_trouble(host: Host, text: str, error: BaseException) -> InsecureTrouble:
    """Return what a failed STARTTLS means under a policy that wants TLS."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return InsecureTrouble.by_certificate(host, _refused(cause))
    return InsecureTrouble.of(host, text, category=Category.NETWORK)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _refused(error: ssl.SSLCertVerificationError) -> Certificate:
    if error.verify_code in _EXPIRED:
        return Certificate.EXPIRED
    return Certificate.WRONG_NAME if error.verify_code in _WRONG_NAME else Certificate.UNTRUSTED


def _sent_chain(ssl_object: ssl.SSLObject) -> Chain | None:
    """Return the certificates that the other side sent, verified or not.

    The method is public from Python 3.13 on; before it, the object inside has it, with certificates of its own.
    """
    inside = ssl_object if hasattr(ssl_object, "get_unverified_chain") else ssl_object._sslobj  # type: ignore[attr-defined]  # private
    sent = inside.get_unverified_chain() or ()
    return read_chain(each if isinstance(each, bytes) else each.public_bytes(_DER) for each in sent)
