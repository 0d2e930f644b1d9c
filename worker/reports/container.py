"""The container of all reports (RFC 6522): a mail of type multipart/report. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from app.mail.mime.transfer import Body, encode_text


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its media type with parameters, its encoded body, and further fields, each with its CRLF."""

    content_type: str
    body: Body
    fields: str = ""


def prose(text: str) -> Part:
    """Return the part for people, which comes first (RFC 6522 §3)."""
    return Part("text/plain; charset=utf-8", encode_text(text))


def report_mail(fields: str, report_type: str, parts: Sequence[Part]) -> bytes:
    """Return a mail with these header fields (each with its CRLF) and parts; lines end in CRLF, bodies are 7-bit.

    `report_type` is the subtype of the second part. Addresses beyond ASCII stand in `fields` as UTF-8 (RFC 6532).
    """
    sections = [_section(part) for part in parts]
    # Nothing can hold the digest of itself.
    boundary = f"=_{sha256(b''.join(sections)).hexdigest()[:32]}"
    head = (
        f"{fields}MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type={report_type};\r\n"
        f' boundary="{boundary}"\r\n\r\n'
    )
    separator = f"--{boundary}\r\n".encode("ascii")
    ends = f"--{boundary}--\r\n".encode("ascii")
    return b"".join([head.encode(), *[separator + each for each in sections], ends])


def _section(part: Part) -> bytes:
    head = (
        f"Content-Type: {part.content_type}\r\n"
        f"Content-Transfer-Encoding: {part.body.encoding}\r\n{part.fields}\r\n"
    )
    return head.encode("ascii") + part.body.octets + b"\r\n"
