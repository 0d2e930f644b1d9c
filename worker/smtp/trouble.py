"""The one exception of this package: a session that cannot go on. It never leaves the package."""

from __future__ import annotations

from dataclasses import replace

from app.events import Category, Certificate, Peer
from app.mail.reply import Reply
from worker.outcomes.classify import Phase, classify
from worker.outcomes.outcome import Outcome, Verdict
from worker.routing.hosts import Host


class Trouble(Exception):
    """A session failed. `text` says how in one line; `reply` is what the other side said, if it did."""

    def __init__(
        self, text: str, *, category: Category = Category.NETWORK, reply: Reply | None = None
    ) -> None:
        super().__init__(text)
        self.text = text
        self.category = category
        self.reply = reply

    @classmethod
    def from_reply(cls, text: str, reply: Reply, phase: Phase) -> Trouble:
        """Make a trouble of a reply that ends the session, with its kind from the table of rules."""
        category = classify(reply, phase).category or Category.PROTOCOL
        return cls(text, category=category, reply=reply)

    @classmethod
    def closing(cls, reply: Reply) -> Trouble:
        """Make a trouble of a 421, which may come at any time and says nothing of a mail (RFC 5321 §3.8)."""
        return cls.from_reply("the other side closes the session", reply, Phase.EHLO)

    @property
    def blames_host(self) -> bool:
        """Tell whether the host is to be tried after others for a while: the trouble is not our own."""
        return self.category is not Category.LOCAL

    def unreached(self, peer: Peer) -> Outcome:
        """Return the outcome of a recipient on whom no verdict was reached."""
        return Outcome(Verdict.UNREACHED, self.category, self.reply, self.text, peer)

    def in_doubt(self, peer: Peer) -> Outcome:
        """Return the outcome of a recipient whose mail the other side may have (RFC 1047)."""
        text = f"the message was sent but its receipt not confirmed: {self.text}"
        return Outcome(Verdict.DEFERRED, self.category, self.reply, text, peer, in_doubt=True)


class InsecureTrouble(Trouble):
    """A host that fails the policy that holds for it, and so gets no mail (docs/tls.md).

    It says nothing of the host for others, nor of its site. `is_final` tells that waiting would not help.
    """

    def __init__(
        self,
        text: str,
        *,
        category: Category = Category.POLICY,
        certificate: Certificate | None = None,
        is_final: bool = False,
    ) -> None:
        super().__init__(text, category=category)
        self.certificate = certificate
        self.is_final = is_final

    @classmethod
    def of(cls, host: Host, text: str, *, category: Category = Category.POLICY) -> InsecureTrouble:
        """Make a trouble that names the policy of `host`."""
        return cls(f"the TLS policy ({host.policy.origin}) is not met: {text}", category=category)

    @classmethod
    def by_certificate(cls, host: Host, certificate: Certificate) -> InsecureTrouble:
        """Make a trouble of a certificate that will not do."""
        text = f"the certificate of {host.name} {_FAULTS[certificate]}"
        trouble = cls.of(host, text, category=Category.AUTHENTICATION)
        trouble.certificate = certificate
        return trouble

    @classmethod
    def by_extension(cls, host: Host) -> InsecureTrouble:
        """Make a trouble of a host that does not promise to pass mail on as safely (RFC 8689 §4.2.1)."""
        return cls(f"5.7.30 {host.name} does not offer REQUIRETLS", is_final=True)

    @property
    def blames_host(self) -> bool:
        """Tell that the host may be good enough for other mail."""
        return False

    def again(self) -> InsecureTrouble:
        """Return the same trouble, to be raised anew."""
        return InsecureTrouble(
            self.text,
            category=self.category,
            certificate=self.certificate,
            is_final=self.is_final,
        )

    def unreached(self, peer: Peer) -> Outcome:
        """Return the outcome of a recipient whose mail was not offered."""
        seen = replace(peer, certificate=self.certificate)
        verdict = Verdict.BOUNCED if self.is_final else Verdict.INSECURE
        outcome = Outcome(verdict, self.category, self.reply, self.text, seen)
        return replace(outcome, needs_second_look=self.is_final)


_FAULTS = {
    Certificate.UNPINNED: "fits none of its TLSA records",
    Certificate.EXPIRED: "has expired, or is not valid yet",
    Certificate.WRONG_NAME: "is for another name",
    Certificate.UNTRUSTED: "is not from a trusted authority",
}
