"""Transfer encodings, each decoded by other code than that which encoded."""

from __future__ import annotations

from base64 import b64decode
from quopri import decodestring

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.mail.mime.transfer import encode_octets, encode_text
from tests.app.mail.letters import body_texts, canonical


@given(body_texts)
@example("x" * 75 + " ")
@example("x" * 74 + "\t\n")
@example("ä" + "x" * 72 + " \n" + "x" * 73 + " ")
@example("From From From " * 30)
@example("x " * 400)
def test_text_is_decoded_to_itself_and_its_lines_are_short(text: str) -> None:
    body = encode_text(text)
    match body.encoding:
        case "7bit":
            decoded, longest = body.octets, 78
        case "quoted-printable":
            decoded, longest = decodestring(body.octets), 76
        case _:
            decoded, longest = b64decode(body.octets), 76
    assert decoded.decode() == canonical(text)
    lines = body.octets.split(b"\r\n")
    assert max(map(len, lines)) <= longest
    assert body.octets.isascii()
    assert not any(line.startswith(b"From ") for line in lines)
    if body.encoding == "quoted-printable":
        assert not any(line.endswith((b" ", b"\t")) for line in lines)


@given(st.binary(max_size=500))
def test_octets_are_decoded_to_themselves(octets: bytes) -> None:
    body = encode_octets(octets)
    assert b64decode(body.octets) == octets
    assert all(len(line) == 76 for line in body.octets.split(b"\r\n")[:-1])


@pytest.mark.parametrize("size", [57 * 8192 - 1, 57 * 8192, 57 * 8192 + 1, 1_500_000])
def test_large_octets_are_decoded_to_themselves(size: int) -> None:
    octets = bytes(range(251)) * (size // 251 + 1)
    body = encode_octets(octets[:size])
    assert b64decode(body.octets) == octets[:size]
    assert {len(line) for line in body.octets.split(b"\r\n")[:-1]} == {76}


@pytest.mark.parametrize(
    "line", ["Grüße \n", "From an=y\n", f"{'ä' + 'x' * 100_000}\t\n", "\x0c", "\n"]
)
def test_a_large_text_is_decoded_to_itself(line: str) -> None:
    text = "ab\x0b" + line * (1_000_000 // len(line)) + "the end "
    body = encode_text(text)
    assert body.encoding in {"quoted-printable", "base64"}
    decode = b64decode if body.encoding == "base64" else decodestring
    assert decode(body.octets).decode() == canonical(text)
    assert max(map(len, body.octets.split(b"\r\n"))) <= 76
    assert b"\r\nFrom " not in body.octets


@pytest.mark.parametrize("mixed", ["a\nb\rc\r\nd", "a\r\r\nb", "a\n\rb", "\r", "\n", "\r\n"])
def test_every_line_end_becomes_one_crlf(mixed: str) -> None:
    assert encode_text(mixed).octets.decode() == canonical(mixed)
