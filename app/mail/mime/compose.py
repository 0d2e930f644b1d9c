"""Composing: content becomes the canonical bytes of a mail (RFC 5322, RFC 2045, RFC 2046).

`accept` calls `compose` once per message, signs what it returns, and stores it; nothing changes it
afterwards. All lines are 7-bit and end with CRLF, so that the signed bytes are the bytes on the
wire whatever the receiver supports. Only an address with a local part beyond ASCII stands in the
header as UTF-8 (RFC 6532), since no encoded word may stand for it: such mail needs SMTPUTF8.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, count

from app.mail.fields import date_field, mailbox_field, text_field
from app.mail.mime.content import Attachment, Content
from app.mail.mime.parameters import filename_parameter, name_parameter
from app.mail.mime.transfer import Body, encode_octets, encode_text

# RFC 6854 §1 lets To name nobody, and mail without any To is often taken for spam.
_NOBODY = "To: undisclosed-recipients:;\r\n"


@dataclass(frozen=True, slots=True)
class _Entity:
    """A MIME entity: its Content-* fields, and its body in pieces."""

    fields: str
    body: Sequence[bytes]


def compose(content: Content, boundary_seed: str) -> bytes:
    """Return the mail: CRLF, 7-bit but for addresses, lines of at most 78 characters.

    Where a word cannot be cut they have 998 octets at most.

    The same content and seed give the same bytes. Boundaries derive from the seed, and none
    occurs inside the parts that it separates.
    """
    root = _root(content, _boundaries(boundary_seed))
    head = f"{_message_fields(content)}MIME-Version: 1.0\r\n{root.fields}\r\n".encode()
    message = b"".join([head, *root.body])
    return message if message.endswith(b"\r\n") else message + b"\r\n"


def _message_fields(content: Content) -> str:
    fields = [date_field(content.date), mailbox_field("From", [content.sender])]
    if content.to:
        fields.append(mailbox_field("To", content.to))
    elif not content.cc:
        fields.append(_NOBODY)
    if content.cc:
        fields.append(mailbox_field("Cc", content.cc))
    if content.reply_to:
        fields.append(mailbox_field("Reply-To", content.reply_to))
    fields.append(text_field("Subject", content.subject))
    fields.append(f"Message-ID: <{content.message_id}>\r\n")
    if content.is_tls_optional:
        fields.append("TLS-Required: No\r\n")
    fields.extend(text_field(name, value) for name, value in content.headers)
    return "".join(fields)


def _root(content: Content, boundaries: Iterator[bytes]) -> _Entity:
    """Arrange mixed(alternative(text, related(html, images)), files), less levels of one part."""
    has_html = content.html is not None
    images = [part for part in content.attachments if has_html and part.content_id]
    files = [part for part in content.attachments if not (has_html and part.content_id)]
    bodies: list[_Entity] = []
    if content.text is not None:
        bodies.append(_text("plain", content.text))
    if content.html is not None:
        html = [_text("html", content.html), *map(_attachment, images)]
        bodies.append(_multipart('related; type="text/html"', html, boundaries))
    if not bodies and not files:
        bodies.append(_text("plain", ""))
    parts = [_multipart("alternative", bodies, boundaries)] if bodies else []
    return _multipart("mixed", [*parts, *map(_attachment, files)], boundaries)


def _text(subtype: str, text: str) -> _Entity:
    return _leaf(f"text/{subtype}; charset=utf-8", "", encode_text(text))


def _attachment(attachment: Attachment) -> _Entity:
    disposition = "attachment" if attachment.content_id is None else "inline"
    fields = f"Content-Disposition: {disposition}{filename_parameter(attachment.filename)}\r\n"
    if attachment.content_id is not None:
        fields += f"Content-ID: <{attachment.content_id}>\r\n"
    content_type = f"{attachment.content_type}{name_parameter(attachment.filename)}"
    return _leaf(content_type, fields, encode_octets(attachment.content))


def _leaf(content_type: str, fields: str, body: Body) -> _Entity:
    encoding = f"Content-Transfer-Encoding: {body.encoding}\r\n"
    return _Entity(f"Content-Type: {content_type}\r\n{encoding}{fields}", [body.octets])


def _multipart(subtype: str, parts: Sequence[_Entity], boundaries: Iterator[bytes]) -> _Entity:
    """Join parts; one part alone is returned as it is."""
    if len(parts) == 1:
        return parts[0]
    sections = [[f"\r\n{part.fields}\r\n".encode("ascii"), *part.body] for part in parts]
    pieces = list(chain.from_iterable(sections))
    boundary = next(name for name in boundaries if not any(name in piece for piece in pieces))
    body = [b"--" + boundary, *sections[0]]
    for section in sections[1:]:
        body += [b"\r\n--" + boundary, *section]
    body.append(b"\r\n--" + boundary + b"--\r\n")
    fields = f'Content-Type: multipart/{subtype};\r\n boundary="{boundary.decode("ascii")}"\r\n'
    return _Entity(fields, body)


def _boundaries(seed: str) -> Iterator[bytes]:
    """Derive boundaries without end; "=_" is in no encoded body (RFC 2045 §6.7)."""
    for number in count():
        yield b"=_" + sha256(f"{seed}/{number}".encode()).hexdigest()[:32].encode("ascii")
