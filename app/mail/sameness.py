"""When two addresses count as the same mailbox: for lists of addresses, never for what is sent."""

from __future__ import annotations

import unicodedata


def normal_form(address: str) -> str:
    """Return the form that all spellings of an address share, in NFC; the domain is in A-labels already.

    Local parts are compared without regard to case, as Unicode's canonical caseless matching does. RFC 5321 §2.4
    lets them differ by case, but hardly a system does, and who asked not to be written to means every spelling.
    """
    if address.isascii():
        return address.lower()
    folded = unicodedata.normalize("NFD", address).casefold()
    return unicodedata.normalize("NFC", folded)
