"""The one exception of this package: a session that cannot go on. It never leaves the package."""

from __future__ import annotations

from app.events import Category, Peer
from app.mail.reply import Reply
from worker.outcomes.classify import Phase, classify
from worker.outcomes.outcome import Outcome, Verdict


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

    def unreached(self, peer: Peer) -> Outcome:
        """Return the outcome of a recipient on whom no verdict was reached."""
        return Outcome(Verdict.UNREACHED, self.category, self.reply, self.text, peer)

    def in_doubt(self, peer: Peer) -> Outcome:
        """Return the outcome of a recipient whose mail the other side may have (RFC 1047)."""
        text = f"the message was sent but its receipt not confirmed: {self.text}"
        return Outcome(Verdict.DEFERRED, self.category, self.reply, text, peer, in_doubt=True)
