"""Base64 in requests: of any size it is all or nothing."""

from __future__ import annotations

from base64 import b64encode

import pytest
from pydantic import TypeAdapter, ValidationError

from app.api.fields import Base64

MEGABYTE = 1024 * 1024
FILE = TypeAdapter(Base64)


@pytest.mark.parametrize("characters", [4, MEGABYTE - 4, MEGABYTE, MEGABYTE + 4, 3 * MEGABYTE])
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_base64_of_any_size_is_decoded(characters: int, missing: int) -> None:
    octets = (bytes(range(253)) * (characters // 253))[: characters // 4 * 3 - missing] or b"abc"
    assert FILE.validate_python(b64encode(octets).decode()) == octets


@pytest.mark.parametrize("characters", [4, MEGABYTE, MEGABYTE + 4, 3 * MEGABYTE])
@pytest.mark.parametrize("broken", ["A", "A===", "=", "====", "A\n==", "*AAA", "é", "\x00"])
def test_base64_with_an_error_at_its_end_is_refused(characters: int, broken: str) -> None:
    with pytest.raises(ValidationError, match="standard base64"):
        FILE.validate_python("A" * characters + broken)


@pytest.mark.parametrize("padded", ["AA==", "AAA="])
def test_base64_is_not_two_of_them_wherever_the_first_ends(padded: str) -> None:
    for length in (4, MEGABYTE, 2 * MEGABYTE):
        with pytest.raises(ValidationError, match="standard base64"):
            FILE.validate_python("A" * (length - 4) + padded + "AAAA")
