"""Composing: content becomes the canonical bytes of a mail (RFC 5322, RFC 2045, RFC 2046).

`app.letters.writer` calls `compose` once for each copy and signs what it returns; nothing changes it
afterwards. All lines are 7-bit and end with CRLF, so that the signed bytes are the bytes on the
wire whatever the receiver supports. Only an address with a local part beyond ASCII stands in the
header as UTF-8 (RFC 6532), since no encoded word may stand for it: such mail needs SMTPUTF8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import unescape
from itertools import chain, count

from app.mail.fields import date_field, mailbox_field, text_field
from app.mail.mime.content import Attachment, Content
from app.mail.mime.invitation import Invitation
from app.mail.mime.parameters import filename_parameter, name_parameter
from app.mail.mime.transfer import (
    Body,
    canonical_octets,
    encode_message,
    encode_octets,
    encode_text,
)

# RFC 6854 §1 lets To name nobody, and mail without any To is often taken for spam.
_NOBODY = "To: undisclosed-recipients:;\r\n"
_PERCENT = re.compile("%([2-7][0-9A-Fa-f])")


@dataclass(frozen=True, slots=True)
class _Entity:
    """A MIME entity: its Content-* fields, and its body in pieces."""

    fields: str
    body: Sequence[bytes]


def compose(content: Content, boundary_seed: str) -> bytes:
    """Return the mail: CRLF, 7-bit but for addresses, lines of at most 78 characters, or 998 octets where a word
    cannot be cut.

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
    images = _images(content)
    shown = {image.content_id for image in images}
    others = [part for part in content.attachments if part.content_id not in shown]
    files = [_attachment(part, "attachment") for part in others]
    bodies = _alternatives(content, images, boundaries)
    if content.invitation:
        files.append(_invited_file(content.invitation))
    if not bodies and not files:
        bodies.append(_text("plain", ""))
    parts = [_multipart("alternative", bodies, boundaries)] if bodies else []
    return _multipart("mixed", [*parts, *files], boundaries)


def _alternatives(
    content: Content, images: Sequence[Attachment], boundaries: Iterator[bytes]
) -> list[_Entity]:
    """Return the bodies, of which readers show the last that they know (RFC 2046 §5.1.4).

    AMP goes before the HTML all the same: some readers take the last part whatever it is.
    """
    bodies: list[_Entity] = []
    if content.text is not None:
        bodies.append(_text("plain", content.text))
    if content.amp is not None:
        bodies.append(_text("x-amp-html", content.amp))
    if content.html is not None:
        shown = [_attachment(image, "inline") for image in images]
        html = [_text("html", content.html), *shown]
        bodies.append(_multipart('related; type="text/html"', html, boundaries))
    if content.invitation:
        method = content.invitation.method
        bodies.append(_text("calendar", content.invitation.content, f"; method={method}"))
    return bodies


def _images(content: Content) -> list[Attachment]:
    """Return the attachments that the HTML names (RFC 2392): readers hide others that have a content id."""
    named = [part for part in content.attachments if part.content_id]
    if not named or content.html is None:
        return []
    html = _PERCENT.sub(lambda found: chr(int(found[1], 16)), unescape(content.html)).lower()
    return [part for part in named if f"cid:{part.content_id}".lower() in html]


def _text(subtype: str, text: str, parameters: str = "") -> _Entity:
    return _leaf(f"text/{subtype}; charset=utf-8{parameters}", "", encode_text(text))


def _attachment(attachment: Attachment, disposition: str) -> _Entity:
    fields = f"Content-Disposition: {disposition}{filename_parameter(attachment.filename)}\r\n"
    if disposition == "inline":
        fields += f"Content-ID: <{attachment.content_id}>\r\n"
    content_type: str = attachment.content_type
    body: Body | None = attachment.encoded
    if content_type.lower() == "message/rfc822":
        body = encode_message(attachment.content)
        content_type = content_type if body else "application/octet-stream"
    content_type += name_parameter(attachment.filename)
    return _leaf(content_type, fields, body or encode_octets(attachment.content))


def _invited_file(invitation: Invitation) -> _Entity:
    """Return the invitation once more, as Google's calendar attaches it."""
    octets = canonical_octets(invitation.content)
    return _attachment(Attachment(invitation.filename, "application/ics", octets), "attachment")


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
