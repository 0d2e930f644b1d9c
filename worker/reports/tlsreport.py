"""A TLS report (RFC 8460): its document, and the mail that carries it. Pure."""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256

import orjson

from app.mail.address import Address, Mailbox
from app.mail.fields import date_field, mailbox_field, text_field
from app.mail.mime.transfer import encode_octets
from app.wire import Json
from worker.outcomes.handshake import Asked, Handshake, PolicyKind
from worker.reports.container import Part, prose, report_mail

MEDIA_TYPE = "application/tlsrpt+gzip"
"""What the compressed document is (RFC 8460 §6.4)."""


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who reports: an organisation, how to reach it, and the address that reports come from."""

    organization: str
    contact: str
    address: Address


@dataclass(frozen=True, slots=True)
class TlsReport:
    """What happened with a recipient domain on a day (UTC): how often each handshake was seen."""

    submitter: Submitter
    domain: str
    day: date
    counts: Mapping[Handshake, int]

    @property
    def id(self) -> str:
        """The same for the same day, domain and submitter, and for no other (RFC 8460 §4.4)."""
        about = f"{self.day}/{self.domain}/{self.submitter.address}"
        return f"{sha256(about.encode()).hexdigest()[:32]}@{self.submitter.address.domain}"

    @property
    def begin(self) -> datetime:
        """The first moment of the day."""
        return datetime.combine(self.day, time(), UTC)

    @property
    def end(self) -> datetime:
        """The last second of the day."""
        return self.begin + timedelta(days=1, seconds=-1)

    @property
    def filename(self) -> str:
        """The name of the document (RFC 8460 §5.1)."""
        moments = f"{self.begin.timestamp():.0f}!{self.end.timestamp():.0f}"
        unique = self.id.partition("@")[0]
        return f"{self.submitter.address.domain}!{self.domain}!{moments}!{unique}.json.gz"

    @property
    def subject(self) -> str:
        """The subject of the mail (RFC 8460 §5.3)."""
        submitter = self.submitter.address.domain
        return f"Report Domain: {self.domain} Submitter: {submitter} Report-ID: <{self.id}>"


def document(report: TlsReport) -> bytes:
    """Return the report as it is sent: JSON (RFC 8460 §4.4), compressed; the same bytes each time."""
    by_policy: defaultdict[Asked, dict[Handshake, int]] = defaultdict(dict)
    for handshake, times in report.counts.items():
        by_policy[handshake.asked][handshake] = times
    content: dict[str, Json] = {
        "organization-name": report.submitter.organization,
        "date-range": {
            "start-datetime": _moment(report.begin),
            "end-datetime": _moment(report.end),
        },
        "contact-info": report.submitter.contact,
        "report-id": report.id,
        "policies": [_policy(report.domain, *each) for each in by_policy.items()],
    }
    return gzip.compress(orjson.dumps(content), mtime=0)


def _policy(domain: str, asked: Asked, counts: Mapping[Handshake, int]) -> dict[str, Json]:
    policy: dict[str, Json] = {"policy-type": asked.kind.value, "policy-domain": domain}
    if asked.kind is not PolicyKind.NONE:
        policy["policy-string"] = list(asked.strings)
    if asked.hosts:
        policy["mx-host"] = list(asked.hosts)
    failures = {handshake: times for handshake, times in counts.items() if handshake.failure}
    failed = sum(failures.values())
    content: dict[str, Json] = {
        "policy": policy,
        "summary": {
            "total-successful-session-count": sum(counts.values()) - failed,
            "total-failure-session-count": failed,
        },
    }
    if failures:
        content["failure-details"] = [_detail(*each) for each in failures.items()]
    return content


def _detail(handshake: Handshake, times: int) -> dict[str, Json]:
    known = {
        "result-type": handshake.failure or "",
        "sending-mta-ip": handshake.local,
        "receiving-mx-hostname": handshake.host,
        "receiving-ip": handshake.address,
        "failure-reason-code": handshake.reason,
    }
    detail: dict[str, Json] = {name: str(value) for name, value in known.items() if value}
    return {**detail, "failed-session-count": times}


def compose_mail(report: TlsReport, to: Address, message_id: str, at: datetime) -> bytes:
    """Return the mail that carries the report (RFC 8460 §5.3), unsigned; lines end in CRLF, all is 7-bit."""
    submitter = report.submitter
    fields = [
        date_field(at),
        mailbox_field("From", [Mailbox(submitter.organization, submitter.address)]),
        mailbox_field("To", [Mailbox("", to)]),
        text_field("Subject", report.subject),
        f"Message-ID: <{message_id}>\r\n",
        f"TLS-Report-Domain: {report.domain}\r\n",
        f"TLS-Report-Submitter: {submitter.address.domain}\r\n",
        # What keeps mail from coming in safely must not keep the report of it out (RFC 8460 §5.3.1, RFC 8689 §5).
        "TLS-Required: No\r\n",
        "Auto-Submitted: auto-generated\r\n",
    ]
    named = f'Content-Disposition: attachment;\r\n filename="{report.filename}"\r\n'
    parts: Sequence[Part] = [
        prose(_words(report)),
        Part(MEDIA_TYPE, encode_octets(document(report)), named),
    ]
    return report_mail("".join(fields), '"tlsrpt"', parts)


def _words(report: TlsReport) -> str:
    return (
        f"This is an aggregate TLS report (RFC 8460) of {report.submitter.organization}\n"
        f"on mail to {report.domain} on {report.day}, UTC.\n"
        f"Questions: {report.submitter.contact}\n"
    )


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
