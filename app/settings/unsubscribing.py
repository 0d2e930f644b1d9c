"""Settings of unsubscribing: what mail to many must offer, and where the links lead that are made here."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import field_validator

from app.settings.forms import Group


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class UnsubscribeSettings(Group):
    """How recipients end what they get ([unsubscribe.md](unsubscribe.md))."""

    base_url: str | None = None
    """Public `https://` URL of this API, for links that are made here (`http://` on loopback); needs a secret."""
    required_for_bulk: bool = True
    """Refuse mail of the stream `bulk` without one-click unsubscription, as Gmail and Yahoo do."""

    @field_validator("base_url")
    @classmethod
    def _is_base(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        is_bare = not (parts.query or parts.fragment or parts.username or parts.password)
        is_safe = parts.scheme == "https" or (
            parts.scheme == "http" and _is_loopback(parts.hostname or "")
        )
        is_plain = value.isascii() and value.isprintable() and not set(value) & set(' <>"\\,?#')
        if not (parts.hostname and is_bare and is_safe and is_plain):
            raise ValueError(
                f"{value!r} is no public URL of this API; write it like https://mail.example.com, "
                "without user, query and fragment"
            )
        return value.rstrip("/")
