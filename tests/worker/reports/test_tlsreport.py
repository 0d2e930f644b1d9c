"""TLS reports: written here, read by the parsers of the standard library."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from app.mail.address import Address
from worker.outcomes.handshake import Asked, Handshake, PolicyKind, TlsFailure
from worker.reports.tlsreport import Submitter, TlsReport, compose_mail, document

SUBMITTER = Submitter("Müller Mail", "tls@out.example", Address("tls-reports", "out.example"))
STS = Asked(
    PolicyKind.STS, ("version: STSv1", "mode: testing", "mx: *.x.example"), ("*.x.example",)
)
EXPIRED = Handshake(
    TlsFailure.EXPIRED, "mx1.x.example", "192.0.2.1", "192.0.2.9", "certificate has expired", STS
)
COUNTS = {
    Handshake(host="mx1.x.example", address="192.0.2.1"): 7,
    Handshake(host="mx2.x.example", address="192.0.2.2"): 3,
    Handshake(TlsFailure.NO_STARTTLS, "mx3.x.example", "192.0.2.3", "192.0.2.9"): 2,
    EXPIRED: 4,
    Handshake(TlsFailure.EXPIRED, asked=STS): 1,
}
REPORT = TlsReport(SUBMITTER, "x.example", date(2026, 3, 1), COUNTS)
AT = datetime(2026, 3, 2, 3, tzinfo=UTC)


def read(octets: bytes) -> dict[str, object]:
    found = json.loads(gzip.decompress(octets))
    assert isinstance(found, dict)
    return found


POLICIES = [
    {
        "policy": {"policy-type": "no-policy-found", "policy-domain": "x.example"},
        "summary": {
            "total-successful-session-count": 10,
            "total-failure-session-count": 2,
        },
        "failure-details": [
            {
                "result-type": "starttls-not-supported",
                "sending-mta-ip": "192.0.2.9",
                "receiving-mx-hostname": "mx3.x.example",
                "receiving-ip": "192.0.2.3",
                "failed-session-count": 2,
            }
        ],
    },
    {
        "policy": {
            "policy-type": "sts",
            "policy-domain": "x.example",
            "policy-string": ["version: STSv1", "mode: testing", "mx: *.x.example"],
            "mx-host": ["*.x.example"],
        },
        "summary": {
            "total-successful-session-count": 0,
            "total-failure-session-count": 5,
        },
        "failure-details": [
            {
                "result-type": "certificate-expired",
                "sending-mta-ip": "192.0.2.9",
                "receiving-mx-hostname": "mx1.x.example",
                "receiving-ip": "192.0.2.1",
                "failure-reason-code": "certificate has expired",
                "failed-session-count": 4,
            },
            {"result-type": "certificate-expired", "failed-session-count": 1},
        ],
    },
]


def test_the_document_has_the_form_of_the_rfc() -> None:
    assert read(document(REPORT)) == {
        "organization-name": "Müller Mail",
        "date-range": {
            "start-datetime": "2026-03-01T00:00:00Z",
            "end-datetime": "2026-03-01T23:59:59Z",
        },
        "contact-info": "tls@out.example",
        "report-id": REPORT.id,
        "policies": POLICIES,
    }


def test_a_day_without_failures_has_no_details_and_policies_are_a_list_all_the_same() -> None:
    calm = TlsReport(SUBMITTER, "x.example", date(2026, 3, 1), {Handshake(host="mx.x.example"): 1})
    policies = read(document(calm))["policies"]
    assert isinstance(policies, list)
    assert [sorted(policy) for policy in policies] == [["policy", "summary"]]


def test_the_id_names_day_domain_and_submitter_and_nothing_else() -> None:
    same = TlsReport(SUBMITTER, "x.example", date(2026, 3, 1), {})
    others = [
        TlsReport(SUBMITTER, "x.example", date(2026, 3, 2), {}),
        TlsReport(SUBMITTER, "y.example", date(2026, 3, 1), {}),
        TlsReport(Submitter("", "", Address("a", "b.example")), "x.example", date(2026, 3, 1), {}),
    ]
    assert same.id == REPORT.id
    assert len({REPORT.id, *(other.id for other in others)}) == 4
    assert document(REPORT) == document(REPORT)


def test_the_mail_carries_the_document_in_the_form_of_the_rfc() -> None:
    raw = compose_mail(REPORT, Address("tls", "x.example"), "1@out.example", AT)
    assert raw.isascii()
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)
    assert not mail.defects
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "tlsrpt"
    assert mail["From"] == "Müller Mail <tls-reports@out.example>"
    assert mail["To"] == "tls@x.example"
    assert mail["Subject"] == (
        f"Report Domain: x.example Submitter: out.example Report-ID: <{REPORT.id}>"
    )
    assert (mail["TLS-Report-Domain"], mail["TLS-Report-Submitter"]) == ("x.example", "out.example")
    assert (mail["TLS-Required"], mail["Auto-Submitted"]) == ("No", "auto-generated")
    words, attached = mail.iter_parts()
    assert isinstance(words, EmailMessage)
    assert "x.example" in words.get_content()
    assert isinstance(attached, EmailMessage)
    assert attached.get_content_type() == "application/tlsrpt+gzip"
    assert attached.get_content() == document(REPORT)
    unique = REPORT.id.partition("@")[0]
    assert attached.get_filename() == (
        f"out.example!x.example!1772323200!1772409599!{unique}.json.gz"
    )
