"""The answer to a dry run: what sending would have done, and what is to be said of the mail."""

from __future__ import annotations

from base64 import b64encode
from enum import StrEnum

from pydantic import Field

from app.api.answers.model import AnswerModel
from app.events import TlsPolicy
from app.messages import Field as Place
from app.messages import Message, Stream, TlsWish
from app.rehearsal.alignment import Alignment, Dmarc, Mode
from app.rehearsal.dryrun import MOST_COPIES, MOST_DOMAINS, MOST_SHOWN_BYTES, Copy, DryRun
from app.rehearsal.prospects import Exchange, Obstacle, Way
from app.rehearsal.remarks import Code, Remark


class Fate(StrEnum):
    """What sending would do with a recipient."""

    QUEUED = "would_be_queued"
    """Try to deliver."""
    SUPPRESSED = "suppressed"
    """Nothing: the address is on the suppression list."""


class Encoding(StrEnum):
    """How the bytes of a mail stand in an answer."""

    TEXT = "text"
    """As text."""
    BASE64 = "base64"
    """In base64, since they are no UTF-8."""


class RehearsedRecipient(AnswerModel):
    """One recipient, and what sending would do with it."""

    address: str = Field(
        description="The envelope address: its domain is in lower case and A-labels."
    )
    field: Place
    domain: str
    status: Fate


class ExchangeOut(AnswerModel):
    """A host that takes mail for a domain."""

    host: str
    preference: int
    tls_policy: TlsPolicy = Field(description="The rule that a connection would have to keep.")
    barred: str | None = Field(
        description="Why the host would not be used; null where it would be."
    )

    @classmethod
    def of(cls, exchange: Exchange) -> ExchangeOut:
        """Return the answer that shows `exchange`."""
        return cls(
            host=exchange.name,
            preference=exchange.preference,
            tls_policy=exchange.tls,
            barred=exchange.barred or None,
        )


class ObstacleOut(AnswerModel):
    """Why no mail can be handed over."""

    code: Obstacle
    detail: str


class WayOut(AnswerModel):
    """A domain of recipients, and the hosts that would be tried."""

    domain: str
    mx: list[ExchangeOut] | None = Field(
        description="The hosts in the order in which they would be tried; null where they were not looked up, "
        f"which is done for {MOST_DOMAINS} domains at most."
    )
    tls_policy: TlsPolicy | None = Field(
        description="That of the first host; null where no host is known."
    )
    problem: ObstacleOut | None = Field(description="Why there are no hosts; null where there are.")

    @classmethod
    def of(cls, domain: str, way: Way | None) -> WayOut:
        """Return the answer that shows `way`, None where it is not known."""
        exchanges = [ExchangeOut.of(each) for each in way.exchanges] if way else []
        trouble = way.trouble if way else None
        return cls(
            domain=domain,
            mx=exchanges if way else None,
            tls_policy=exchanges[0].tls_policy if exchanges else None,
            problem=ObstacleOut(code=trouble.obstacle, detail=trouble.text) if trouble else None,
        )


class DmarcOut(AnswerModel):
    """The DMARC record that holds for the author's domain (RFC 7489)."""

    name: str = Field(description="Where it stands.")
    policy: str = Field(description="What it wants done with mail that fails.", examples=["reject"])
    dkim: Mode
    spf: Mode

    @classmethod
    def of(cls, dmarc: Dmarc | None) -> DmarcOut | None:
        """Return the answer that shows `dmarc`."""
        if dmarc is None:
            return None
        return cls(name=dmarc.name, policy=dmarc.policy, dkim=dmarc.dkim, spf=dmarc.spf)


class AlignmentOut(AnswerModel):
    """Whether what receivers can prove of the mail speaks for the domain in From (RFC 7489 §3.1)."""

    author_domain: str
    dkim_domains: list[str] = Field(description="Domains of the signatures (`d=`).")
    dkim_aligned: bool
    return_path_domain: str
    spf_aligned: bool = Field(
        description="Whether the return path is aligned; it counts where its SPF record lets us send."
    )
    dmarc: DmarcOut | None = Field(
        description="Null where there is none that receivers take, or where it was not looked up."
    )
    looked_up: bool = Field(
        description="Whether the DMARC record was looked up; relaxed is assumed else."
    )

    @classmethod
    def of(cls, alignment: Alignment) -> AlignmentOut:
        """Return the answer that shows `alignment`."""
        return cls(
            author_domain=alignment.author,
            dkim_domains=list(alignment.signers),
            dkim_aligned=alignment.by_dkim,
            return_path_domain=alignment.return_path,
            spf_aligned=alignment.by_spf,
            dmarc=DmarcOut.of(alignment.dmarc),
            looked_up=alignment.is_known,
        )


class WarningOut(AnswerModel):
    """What the mail can be sent with, but had better not."""

    code: Code
    pointer: str = Field(description="Where in the request (RFC 6901).", examples=["/html"])
    detail: str = Field(description="Why, and what to do.")

    @classmethod
    def of(cls, remark: Remark) -> WarningOut:
        """Return the answer that shows `remark`."""
        return cls(code=remark.code, pointer=remark.pointer, detail=remark.detail)


class CopyOut(AnswerModel):
    """A copy of the mail as it would be sent: composed and signed."""

    recipient: str | None = Field(description="Whose copy it is; null where all get the same.")
    size: int = Field(description="Bytes of the copy.")
    raw: str | None = Field(
        description=f"The copy; null where all copies so far have more than {MOST_SHOWN_BYTES} bytes."
    )
    encoding: Encoding = Field(description="How it stands in `raw`.")

    @classmethod
    def of(cls, message: Message, copy: Copy) -> CopyOut:
        """Return the answer that shows `copy`."""
        recipient = None if copy.index is None else message.recipients[copy.index].address
        raw, encoding = None, Encoding.TEXT
        if copy.octets is not None:
            try:
                raw = copy.octets.decode()
            except UnicodeDecodeError:
                raw, encoding = b64encode(copy.octets).decode(), Encoding.BASE64
        return cls(recipient=recipient, size=copy.size_bytes, raw=raw, encoding=encoding)


class DryRunOut(AnswerModel):
    """What sending would have done. Nothing was stored, and nothing is sent."""

    sender: str = Field(serialization_alias="from", description="The author's address.")
    subject: str
    stream: Stream
    tls: TlsWish
    size: int = Field(description="Bytes of the message as it would be sent: of the largest copy.")
    recipients: list[RehearsedRecipient]
    domains: list[WayOut]
    alignment: AlignmentOut
    warnings: list[WarningOut] = Field(
        description="Empty for a mail that nothing is to be said of."
    )
    copies: list[CopyOut] = Field(description=f"The first {MOST_COPIES} copies.")

    @classmethod
    def of(cls, run: DryRun) -> DryRunOut:
        """Return the answer that shows `run`."""
        message = run.message
        return cls(
            sender=message.author,
            subject=message.subject,
            stream=message.stream,
            tls=message.tls,
            size=message.size_bytes,
            recipients=_recipients(run),
            domains=[
                WayOut.of(domain, run.ways.get(domain))
                for domain in dict.fromkeys(each.domain for each in message.recipients)
            ],
            alignment=AlignmentOut.of(run.alignment),
            warnings=[WarningOut.of(remark) for remark in run.remarks],
            copies=[CopyOut.of(message, copy) for copy in run.copies],
        )


def _recipients(run: DryRun) -> list[RehearsedRecipient]:
    return [
        RehearsedRecipient(
            address=each.address,
            field=each.field,
            domain=each.domain,
            status=Fate.SUPPRESSED if why else Fate.QUEUED,
        )
        for each, why in zip(run.message.recipients, run.suppressions, strict=True)
    ]
