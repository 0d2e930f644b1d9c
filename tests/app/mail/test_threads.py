"""Threads: a mail program finds the conversation that a mail belongs to."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.fields import text_field
from app.mail.headers import HeaderError
from app.mail.threads import Thread, ThreadError, parse_message_id, parse_message_ids

ids = st.from_regex(r"[a-z0-9.+=_-]{1,60}@[a-z0-9.-]{1,60}", fullmatch=True)


def fields(thread: Thread) -> dict[str, str]:
    return dict(thread.fields())


def test_a_mail_that_answers_none_says_nothing() -> None:
    assert fields(Thread()) == {}


def test_an_answer_names_what_it_answers_in_both_fields() -> None:
    assert fields(Thread("b@x.example")) == {
        "In-Reply-To": "<b@x.example>",
        "References": "<b@x.example>",
    }
    assert fields(Thread("b@x.example", ("a@x.example",))) == {
        "In-Reply-To": "<b@x.example>",
        "References": "<a@x.example> <b@x.example>",
    }


def test_what_is_answered_is_not_repeated() -> None:
    thread = Thread("b@x.example", ("a@x.example", "b@x.example"))
    assert fields(thread)["References"] == "<a@x.example> <b@x.example>"


def test_a_mail_may_belong_to_a_thread_without_answering_one() -> None:
    assert fields(Thread(references=("a@x.example",))) == {"References": "<a@x.example>"}


@given(st.lists(ids, min_size=1, max_size=300, unique=True))
def test_a_long_thread_keeps_its_first_and_its_last_mails(references: list[str]) -> None:
    value = fields(Thread(references=tuple(references)))["References"]
    kept = re.findall(r"<([^>]+)>", value)
    assert kept[0] == references[0]
    assert kept[1:] == references[len(references) - len(kept) + 1 :]
    assert len(kept) >= min(3, len(references))
    left_out = len(references) - len(kept)
    if left_out:
        assert len(kept) == 3 or len(f"References: {value}") <= 998
        one_more = f"References: {value} <{references[-len(kept)]}>"
        assert len(one_more) > 998
    lines = text_field("References", value).removesuffix("\r\n").split("\r\n")
    assert "".join(lines) == f"References: {value}"
    assert max(map(len, lines)) <= max(78, len(max(kept, key=len)) + len("References: <>"))


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_ids_of_great_length_stay_whole(size: int) -> None:
    references = tuple(f"{number}{'x' * 880}@x.example" for number in range(size))
    kept = fields(Thread(references=references))["References"].split(" ")
    assert kept == [f"<{each}>" for each in (references[0], *references[1:][-2:])]


@pytest.mark.parametrize(
    "text",
    [
        "a@x.example b@x.example",
        "<a@x.example> <b@x.example>",
        "<a@x.example><b@x.example>",
        "  <a@x.example>   b@x.example  ",
    ],
)
def test_ids_are_read_as_they_are_usually_written(text: str) -> None:
    assert parse_message_ids(text) == ("a@x.example", "b@x.example")


def test_one_id_is_read_with_brackets_or_without() -> None:
    assert parse_message_id("<a@x.example>") == parse_message_id("a@x.example") == "a@x.example"


@pytest.mark.parametrize(
    "text", ["", " ", "<a@x.example> <b@x.example>", "<a@x.example", "a@x.example>"]
)
def test_anything_but_one_id_is_refused(text: str) -> None:
    with pytest.raises(ThreadError):
        parse_message_id(text)


@pytest.mark.parametrize(
    "text", ["msg_0192f0c1", "<>", "<a b@x.example>", "ä@x.example", "a@x.example,b@x.example"]
)
def test_what_is_no_message_id_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(HeaderError, match="Message-ID of a mail"):
        parse_message_ids(text)


@pytest.mark.parametrize("bad", ["a", "<a@b.example>", "a@b.example\r\nX: y"])
def test_a_thread_holds_only_message_ids(bad: str) -> None:
    with pytest.raises(HeaderError):
        Thread(bad)
    with pytest.raises(HeaderError):
        Thread(references=("a@b.example", bad))


@given(st.lists(ids, max_size=20), st.sampled_from([" ", "  ", " \t"]))
def test_ids_come_out_as_they_went_in(references: list[str], space: str) -> None:
    written = space.join(f"<{each}>" for each in references)
    assert parse_message_ids(written) == tuple(references)
