"""Splitting a batch: the items are those of any other parser, whatever pieces the bytes come in."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.api.problems import MalformedJson
from app.api.sending.splitting import MAX_MARKS, Item, Splitter
from app.errors import InvalidRequest, PillarboxError, TooLarge

NAMES = ("attachments", "messages")

TEXT = st.text(st.characters(exclude_categories=()), max_size=20) | st.text(
    '"\\[]{},: ', max_size=9
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)
SPACE = st.text(" \t\r\n", max_size=3)


def split(pieces: Sequence[bytes]) -> list[Item]:
    splitter = Splitter(NAMES)
    found = [item for piece in pieces for item in splitter.feed(piece)]
    splitter.end()
    return found


def cut(body: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Cut into pieces of these sizes, in turns."""
    pieces, at, turn = [], 0, 0
    while at < len(body):
        size = sizes[turn % len(sizes)]
        pieces.append(body[at : at + size])
        at, turn = at + size, turn + 1
    return pieces


def outcome(pieces: Sequence[bytes]) -> tuple[list[Item], type[PillarboxError] | None]:
    """Return what comes out, up to the error if there is one."""
    splitter = Splitter(NAMES)
    found: list[Item] = []
    try:
        for piece in pieces:
            found.extend(splitter.feed(piece))
        splitter.end()
    except PillarboxError as error:
        return found, type(error)
    return found, None


@given(
    attachments=st.lists(VALUES, max_size=3) | st.none(),
    messages=st.lists(VALUES, max_size=5),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    indent=st.none() | SPACE,
    is_ascii=st.booleans(),
)
def test_items_are_those_of_the_whole_document(
    attachments: list[object] | None,
    messages: list[object],
    sizes: list[int],
    indent: str | None,
    is_ascii: bool,
) -> None:
    document = {"attachments": attachments, "messages": messages}
    if attachments is None:
        del document["attachments"]
    text = json.dumps(document, indent=indent, ensure_ascii=is_ascii)
    items = split(cut(text.encode("utf-8", "surrogatepass"), sizes))
    for name in NAMES:
        found = [item.body for item in items if item.name == name]
        expected = document.get(name) or []
        read = [json.loads(body.decode("utf-8", "surrogatepass")) for body in found]
        assert json.dumps(read) == json.dumps(expected)


@given(
    body=st.text('{}[]",:\\ amtesgn1', max_size=40).map(str.encode)
    | st.binary(max_size=40)
    | st.text('{}[]",:\\1 ', max_size=15).map(lambda text: b'{"messages":[' + text.encode()),
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4),
)
@example(body=b'{"messages":["\\\\"]}', sizes=[15])
def test_pieces_make_no_difference_to_any_bytes(body: bytes, sizes: list[int]) -> None:
    assert outcome(cut(body, sizes)) == outcome([body])


@given(
    body=st.text('{}[]",:\\1 ', max_size=20).map(lambda text: b'{"messages":[' + text.encode()),
)
def test_what_is_no_json_does_not_pass_for_it(body: bytes) -> None:
    """Either the splitter refuses, or each item does, or all of it is JSON."""
    items, error = outcome([body])
    try:
        json.loads(body)
    except ValueError:
        assert error or not all(map(is_json, items))
    else:
        assert error is not MalformedJson or b'"messages"' in body[12:]


def is_json(item: Item) -> bool:
    try:
        json.loads(item.body)
    except ValueError:
        return False
    return True


def test_an_item_is_there_as_soon_as_it_is_complete() -> None:
    splitter = Splitter(NAMES)
    assert [item.body for item in splitter.feed(b'{"messages": [{"a": 1}, {"b": "}')] == [
        b'{"a": 1}'
    ]
    assert [item.body for item in splitter.feed(b'"}')] == [b'{"b": "}"}']
    assert not list(splitter.feed(b", 1"))
    assert [item.body for item in splitter.feed(b"7]")] == [b"17"]


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (b'{"messages": [1,]}', MalformedJson, "a value is missing, at byte 16"),
        (b'{"messages": [1] "', MalformedJson, ", or } is missing, at byte 17"),
        (b'{"messages": [[}]}', MalformedJson, "} closes nothing"),
        (b'{"messages": [1]', MalformedJson, "ends too early"),
        (b'{"messages": [1]}}', MalformedJson, "behind the end, at byte 17"),
        (b'\xef\xbb\xbf{"messages": []}', MalformedJson, "byte order mark"),
        (b'\xff\xfe{\0"\0', MalformedJson, "byte order mark"),
        (b'{"messages": "x"}', InvalidRequest, "/messages: must be a list"),
        (b'{"messages": [], "attachments": []}', InvalidRequest, "must stand before `messages`"),
        (b'{"attachments": [], "attachments": []}', MalformedJson, "twice"),
        (b'{"%b": []}' % (b"n" * 2_000), MalformedJson, "name is too long"),
        (b'{"messages": [' + b"[" * (MAX_MARKS + 1), TooLarge, "lists and objects"),
    ],
)
def test_what_stands_around_the_items_is_refused_with_its_place(
    body: bytes, error: type[PillarboxError], said: str
) -> None:
    with pytest.raises(error, match=said.replace("}", r"\}")):
        split([body])


@pytest.mark.parametrize("filler", [b"a", b"\\\\", b'\\"', b"\xff", b"[{,"])
def test_a_long_string_in_small_pieces_is_looked_at_once(filler: bytes) -> None:
    """A second look at what came before would take hours here."""
    string = b'"%b"' % (filler * 3_000_000)
    pieces = cut(b'{"messages":[%b]}' % string, [4_096])
    assert [item.body for item in split(pieces)] == [string]
