"""Finished mails to test with: all that a header and a body may be by RFC 5322, however odd."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from app.mail.finished.completing import Missing, complete
from app.mail.finished.reading import read_mail

_WHEN = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
_SPACES = st.sampled_from(["", " ", "\t", "  ", " \t "])
_FOLDS = st.sampled_from([" ", "\t", " \t  ", "\r\n ", "\r\n\t", " \r\n  ", "\t\r\n \t"])
_WORDS = st.one_of(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20),
    st.text(st.sampled_from("äßłωжשمहไ漢한🎉\u00a0\u2028"), min_size=1, max_size=8),
    st.sampled_from(["=?utf-8?q?a=20b?=", "x" * 200, "a@example.org,", ";", ":"]),
)
_ONCE = (
    *("To", "cC", "SUBJECT", "Reply-To", "Mime-Version", "Content-Type", "References"),
    *("Content-Transfer-Encoding", "In-Reply-To", "List-Id", "List-Unsubscribe", "X-Note"),
    *("List-Unsubscribe-Post", "List-Help", "Feedback-ID", "Auto-Submitted", "CFBL-Address"),
)
_OFTEN = ("Received", "Resent-From", "Resent-To", "Comments", "X-Again")
_BODY_LINES = st.one_of(
    st.binary(max_size=60).map(lambda octets: bytes(set(octets) - set(b"\0\r\n"))),
    st.sampled_from([b"", b" ", b"\t", b".", b"..", b"a  b \t", b"From here", b"x" * 998]),
)


@st.composite
def _fields(draw: st.DrawFn, name: str) -> str:
    """Return a field, folded anywhere; no line of it is blank."""
    words = draw(st.lists(_WORDS, max_size=8))
    value = "".join(
        (draw(_FOLDS) if index else draw(_SPACES)) + word for index, word in enumerate(words)
    )
    return f"{name}:{value}{draw(_SPACES)}\r\n"


@st.composite
def finished_mails(draw: st.DrawFn) -> bytes:
    """Return a mail as `POST /messages/raw` would sign it, from an address of example.com."""
    names = [
        *draw(st.lists(st.sampled_from(_ONCE), unique=True)),
        *draw(st.lists(st.sampled_from(_OFTEN), max_size=4)),
    ]
    fields = [draw(_fields(name)) for name in names]
    sender = draw(
        st.sampled_from(["From: a@example.com", "fROM:\t\r\n  A \t b  <a@example.com> \t"])
    )
    head = "".join(draw(st.permutations([*fields, f"{sender}\r\n"]))).encode()
    body = b"\r\n".join(draw(st.lists(_BODY_LINES, max_size=12)))
    return complete(read_mail(head + b"\r\n" + body), Missing(_WHEN, "0192f0c1@example.com"))
