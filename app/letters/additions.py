"""Header fields beside those of every mail: what fields of the request ask for, and what the stream asks for.

`writer` takes them from here, in the order in which they stand in the mail. A further kind of field is
one more step of `header_fields`.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.letters.drafts import Draft
from app.messages import Stream


def header_fields(draft: Draft) -> tuple[tuple[str, str], ...]:
    """Return the fields that a mail has besides those for people; the caller's own come last."""
    return (*draft.thread.fields(), *_automatic(draft), *draft.headers)


def _automatic(draft: Draft) -> Iterator[tuple[str, str]]:
    """Say of mail to many that nobody wrote it by hand, so that absence notes do not answer (RFC 3834 §5).

    Of transactional mail only the caller knows; what the caller says stands.
    """
    is_said = any(name.lower() == "auto-submitted" for name, _ in draft.headers)
    if draft.options.stream is Stream.BULK and not is_said:
        yield "Auto-Submitted", "auto-generated"
