"""Line ends of finished mails, against a reading octet by octet, also where the pieces are cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.finished.lines import MAX_LINE, canonical, long_line

PIECE = 128 * 1024
ENDS = re.compile(rb"\r\n|\r|\n")


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b".", b"\xff"])).map(b"".join))
def test_every_line_end_becomes_one_crlf_and_nothing_else_changes(octets: bytes) -> None:
    assert canonical(octets) == ENDS.sub(b"\r\n", octets)
    assert canonical(canonical(octets)) == canonical(octets)


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r\n", b"\n.\n"])
@pytest.mark.parametrize("before", [PIECE - 3, PIECE - 2, PIECE - 1, PIECE, PIECE + 1])
def test_where_a_large_mail_is_cut_makes_no_difference(end: bytes, before: int) -> None:
    octets = b"a" * before + end + b"b"
    assert canonical(octets) == ENDS.sub(b"\r\n", octets)


@given(
    st.lists(st.sampled_from([0, 1, 76, 996, 997, 998, 999, 1000, 2000]), max_size=12),
    st.booleans(),
)
def test_the_first_line_that_is_too_long_is_named(sizes: list[int], is_ended: bool) -> None:
    message = b"\r\n".join(b"x" * size for size in sizes) + b"\r\n" * is_ended
    found = [
        number for number, line in enumerate(message.split(b"\r\n"), 1) if len(line) > MAX_LINE
    ]
    assert long_line(message) == (found[0] if found else None)


def test_a_line_end_without_its_other_half_is_no_line_end() -> None:
    assert long_line(b"x" * 990 + b"\r" + b"y" * 20) == 1
