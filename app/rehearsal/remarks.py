"""Remarks: what a mail can be sent with, but had better not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """What is remarked."""

    SUBJECT_EMPTY = "subject_empty"
    """There is no subject."""
    SUBJECT_LONG = "subject_long"
    """Readers will cut the subject off."""
    SUBJECT_CAPITALS = "subject_capitals"
    """The subject is in capitals."""
    SUBJECT_REPLY = "subject_reply"
    """The subject says that the mail is an answer, and nothing says to what."""
    NAME_IS_ADDRESS = "name_is_address"
    """The name of the author looks like another address."""
    NO_UNSUBSCRIBE = "no_unsubscribe"
    """Mail to many that nobody can unsubscribe from with one click."""
    CONTENT_EMPTY = "content_empty"
    """There is nothing to read."""
    NO_TEXT = "no_text"
    """There is no text part."""
    TEXT_EMPTY = "text_empty"
    """There is a text part, with nothing in it."""
    VALUE_LEFT = "value_left"
    """A place for a value was not filled."""
    HTML_LARGE = "html_large"
    """Gmail will cut the mail off."""
    IMAGE_ONLY = "image_only"
    """All that is said is said by images."""
    IMAGE_WITHOUT_ALT = "image_without_alt"
    """An image has no text in its place."""
    IMAGE_IN_URL = "image_in_url"
    """An image stands in the HTML itself (`data:`)."""
    IMAGE_MISSING = "image_missing"
    """The HTML names an attachment that is not there."""
    IMAGE_UNUSED = "image_unused"
    """An attachment has a content id that the HTML does not name."""
    ELEMENT_DROPPED = "element_dropped"
    """An element that mail readers leave away."""
    STYLE_OUTSIDE = "style_outside"
    """A style sheet that mail readers do not fetch."""
    LINK_EMPTY = "link_empty"
    """A link leads nowhere."""
    LINK_RELATIVE = "link_relative"
    """A link leads somewhere only on a page of the web."""
    LINK_INSECURE = "link_insecure"
    """A link is not encrypted on its way."""
    LINK_SCRIPT = "link_script"
    """A link that runs or holds something instead of leading somewhere."""
    LINK_BROKEN = "link_broken"
    """A link that is no URL."""
    NOT_SIGNED = "not_signed"
    """The mail has no DKIM signature."""
    NOT_ALIGNED = "not_aligned"
    """Neither DKIM nor SPF speaks for the author's domain, so that DMARC fails."""
    NO_DMARC = "no_dmarc"
    """The author's domain has no DMARC record."""
    DOMAIN_UNKNOWN = "domain_unknown"
    """The domain of a recipient does not exist."""
    DOMAIN_TAKES_NO_MAIL = "domain_takes_no_mail"
    """The domain of a recipient says that it takes no mail (null MX)."""
    DOMAIN_UNREACHABLE = "domain_unreachable"
    """No host of the domain of a recipient can be sent to."""
    DOMAIN_NOT_SAFE = "domain_not_safe"
    """No host of the domain of a recipient does what its policy or the message demands."""
    NOT_LOOKED_UP = "not_looked_up"
    """What the DNS says was not known in time."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What is remarked, where in the request (RFC 6901 pointer), and in one sentence why and what to do."""

    code: Code
    pointer: str
    detail: str
