"""The mail that reports on a delivery (RFC 3464): for people, for programs, with the message's header. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from app.events import Delivery
from app.mail.address import Address, Mailbox
from app.mail.fields import date_field, mailbox_field, text_field
from app.mail.mime.transfer import Body, encode_octets
from app.messages import Message, RecipientState, Status, TlsWish
from worker.reports.container import Part, prose, report_mail
from worker.reports.notices import FAILED

_MESSAGE_ID = re.compile(rb"(?im)^message-id:[ \t\r\n]*(<[!-;=?-~]{1,900}>)")
_ENHANCED = re.compile(r"[245](\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])")
_MAX_LINE = 76
_MAX_WORD = 900
_HIDDEN = "(hidden recipient)"


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """All that becomes bytes. `states` holds the recipients told of, by index; `unspeakable` addresses that
    must not stand in it; `mta` is our host name; `id` the Message-ID without <>."""

    message: Message
    states: Sequence[tuple[int, RecipientState]]
    header: bytes
    sender: Mailbox
    mta: str
    id: str
    at: datetime
    unspeakable: tuple[str, ...] = ()

    @property
    def is_failure(self) -> bool:
        """Tell whether anybody failed; else all are only late."""
        return any(state.status in FAILED for _, state in self.states)

    @property
    def subject(self) -> str:
        """The subject of the mail."""
        return f"{'Not delivered' if self.is_failure else 'Delayed'}: {self.message.subject}"


def compose_report(report: DeliveryReport) -> bytes:
    """Return the report as canonical bytes: lines end in CRLF, all is 7-bit."""
    is_global = not all(
        report.message.recipients[index].address.isascii() for index, _ in report.states
    )
    kind = "global-delivery-status" if is_global else "delivery-status"
    status = _delivery_status(report)
    body = encode_octets(status.encode()) if is_global else Body("7bit", status.encode("ascii"))
    parts = [prose(_words(report)), Part(f"message/{kind}", body), _returned(report.header)]
    return report_mail(_fields(report), kind, parts)


def _fields(report: DeliveryReport) -> str:
    local, _, domain = (report.message.report_to or "").rpartition("@")
    answered = _MESSAGE_ID.search(report.header)
    thread = answered[1].decode("ascii") if answered else ""
    return "".join(
        [
            date_field(report.at),
            mailbox_field("From", [report.sender]),
            mailbox_field("To", [Mailbox("", Address(local, domain))]),
            text_field("Subject", report.subject),
            f"Message-ID: <{report.id}>\r\n",
            f"In-Reply-To: {thread}\r\nReferences: {thread}\r\n" if thread else "",
            "TLS-Required: No\r\n" if report.message.tls is TlsWish.OPTIONAL else "",
            # RFC 3834 §5: nobody shall answer this by machine.
            "Auto-Submitted: auto-replied\r\n",
        ]
    )


def _returned(header: bytes) -> Part:
    """Return the header of the message (RFC 6522 §4); where it is not ASCII, in the form of RFC 6533 §4.3."""
    if header.isascii():
        return Part("text/rfc822-headers", Body("7bit", header))
    return Part("message/global-headers", encode_octets(header))


def _words(report: DeliveryReport) -> str:
    message = report.message
    lines = [
        f"This is the mail system at {report.mta}. Your message",
        "",
        f"    Subject: {message.subject}",
        f"    Date: {_date(message.created_at)}",
        "",
        "has not been delivered to everybody."
        if report.is_failure
        else "is still on its way. You need not send it again.",
    ]
    for index, state in report.states:
        lines += ["", message.recipients[index].address, *_fate(report, state)]
    return "\n".join(lines) + "\n"


def _fate(report: DeliveryReport, state: RecipientState) -> Iterator[str]:
    yield f"    {_verdict(report.message, state.status)}"
    last = state.last
    if last and last.reply:
        host = last.peer.host if last.peer else "the receiving system"
        yield f"    What {host} said: {_masked(_spoken(last), report.unspeakable)}"
    elif last:
        yield f"    What happened: {last.text}"


def _verdict(message: Message, status: Status) -> str:
    match status:
        case Status.BOUNCED:
            return "The message was refused and will not be tried again."
        case Status.EXPIRED:
            return "The message could not be delivered in its time and will not be tried again."
        case Status.SUPPRESSED:
            return (
                "The message was not sent: the address is on a list of those that get no more mail."
            )
        case Status.UNKNOWN:
            return "The message was sent and may have arrived: the answer was lost. It is not sent again."
        case _:
            return (
                f"The message was not delivered yet. It is tried until {_date(message.expires_at)}."
            )


def _delivery_status(report: DeliveryReport) -> str:
    """Return the part for programs: fields of the message, then those of each recipient (RFC 3464 §2.1)."""
    message = report.message
    # The id that the sender was given when the message was accepted (RFC 3464 §2.2.1 (b)).
    groups = [
        [
            f"Original-Envelope-Id: {message.id}",
            f"Reporting-MTA: dns; {report.mta}",
            f"Arrival-Date: {_date(message.created_at)}",
        ]
    ]
    for index, state in report.states:
        address = _typed(message.recipients[index].address)
        groups.append(
            [
                f"Original-Recipient: {address}",
                f"Final-Recipient: {address}",
                *_outcome(report, state),
            ]
        )
    return "\r\n".join("".join(f"{line}\r\n" for line in group) for group in groups)


def _outcome(report: DeliveryReport, state: RecipientState) -> Iterator[str]:
    last, is_failed = state.last, state.status in FAILED
    yield f"Action: {'failed' if is_failed else 'delayed'}"
    yield f"Status: {status_code(state)}"
    if last and last.reply and last.peer:
        yield _folded(f"Remote-MTA: dns; {last.peer.host}")
    if last:
        kind, text = ("smtp", _spoken(last)) if last.reply else ("x-pillarbox", last.text)
        yield _folded(f"Diagnostic-Code: {kind}; {_masked(text, report.unspeakable)}")
    if state.tried_at:
        yield f"Last-Attempt-Date: {_date(state.tried_at)}"
    if not is_failed:
        yield f"Will-Retry-Until: {_date(report.message.expires_at)}"


def status_code(state: RecipientState) -> str:
    """Return the status (RFC 3463) of a recipient that failed or is late, its class by what becomes of it.

    A message whose time ended keeps the code of what kept it (RFC 3464 §2.3.3 has failures of class 4).
    """
    match state.status:
        case Status.BOUNCED:
            return f"5{_detail(state.last) or '.0.0'}"
        case Status.EXPIRED:
            return f"4{_detail(state.last) or '.4.7'}"
        case Status.SUPPRESSED:
            return f"5{_detail(state.last) or '.7.1'}"
        case Status.UNKNOWN:
            return "4.4.2"
        case _:
            return f"4{_detail(state.last) or '.0.0'}"


def _detail(last: Delivery | None) -> str | None:
    """Return subject and detail of the enhanced code that was heard, or that our own words begin with."""
    if last is None:
        return None
    code = (last.reply.enhanced or "") if last.reply else last.text
    found = _ENHANCED.match(code)
    return found[1] if found else None


def _typed(address: str) -> str:
    """Return an address with its type (RFC 3461 §9.1, RFC 6533 §4.1), exactly as it was in the envelope."""
    return f"{'rfc822' if address.isascii() else 'utf-8'}; {address}"


def _spoken(last: Delivery) -> str:
    """Return the reply as it was spoken, in one line (RFC 3461 §9.2)."""
    if last.reply is None:
        return last.text
    return " ".join(filter(None, [str(last.reply.code), last.reply.enhanced, last.reply.text]))


def _masked(text: str, unspeakable: Sequence[str]) -> str:
    heard = text.casefold()
    # Hardly any text quotes an address, and looking for one by a pattern costs a hundred times as much.
    for address in (each for each in unspeakable if each.casefold() in heard):
        whole = rf"(?<![\w.+-]){re.escape(address)}(?![\w-])"
        text = re.sub(whole, _HIDDEN, text, flags=re.IGNORECASE)
    return text


def _folded(line: str) -> str:
    """Fold a field (RFC 5322 §2.2.3); what is not ASCII is escaped as in RFC 6533 §3."""
    ascii_only = "".join(char if char.isascii() else f"\\x{{{ord(char):X}}}" for char in line)
    words = (
        word[start : start + _MAX_WORD]
        for word in ascii_only.split()
        for start in range(0, len(word), _MAX_WORD)
    )
    lines = textwrap.wrap(
        " ".join(words), _MAX_LINE, break_long_words=False, break_on_hyphens=False
    )
    return "\r\n ".join(lines)


def _date(moment: datetime) -> str:
    """Return a date-time with a numeric zone (RFC 3464 §2.2.5)."""
    return format_datetime(moment.astimezone(UTC))
