"""File names: none leads anywhere, and none hides what it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.mime.filenames import FilenameError, check_filename, safe_filename


@pytest.mark.parametrize(
    ("given_name", "told"),
    [
        ("invoice.pdf", "invoice.pdf"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("C:\\Windows\\a.dll", "C:_Windows_a.dll"),
        ("A/B test.pdf", "A_B test.pdf"),
        ("setup.exe. ", "setup.exe"),
        ("  padded.txt  ", "padded.txt"),
        (".profile", ".profile"),
        ("Rechnung „März“ 🎉.pdf", "Rechnung „März“ 🎉.pdf"),
        ("חשבונית.pdf", "חשבונית.pdf"),
    ],
)
def test_the_name_that_is_told_stays_in_its_folder(given_name: str, told: str) -> None:
    check_filename(given_name)
    assert safe_filename(given_name) == told


@pytest.mark.parametrize(
    "turning", [*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))]
)
def test_a_name_that_hides_its_ending_is_refused(turning: str) -> None:
    with pytest.raises(FilenameError, match=f"U\\+{ord(turning):04X}.*remove it"):
        check_filename(f"invoice{turning}fdp.exe")


@given(st.text(max_size=300))
def test_whatever_is_taken_is_one_name(filename: str) -> None:
    try:
        check_filename(filename)
    except FilenameError:
        return
    told = safe_filename(filename)
    assert told
    assert not set(told) & set("/\\\0\r\n")
    assert told not in {".", ".."}
    assert safe_filename(told) == told
