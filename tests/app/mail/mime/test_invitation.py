"""Which calendars are sent: whole ones that say what they ask for, whatever they say besides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.mime.filenames import FilenameError
from app.mail.mime.invitation import (
    MAX_LINES,
    Invitation,
    InvitationError,
    Method,
    read_method,
)
from tests.app.mail.mime.calendars import CALENDAR


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_the_method_is_read_from_the_calendar(method: Method, line_end: str) -> None:
    content = CALENDAR.replace("METHOD:REQUEST", f"METHOD:{method}").replace("\n", line_end)
    assert read_method(content) is method
    assert Invitation(content, method).filename == "invite.ics"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("METHOD:REQUEST", "method:request"),
        ("METHOD:REQUEST", "METHOD;X-A=b:REQUEST "),
        ("METHOD:REQUEST", 'METHOD;X-A="a:b":REQUEST'),
        ("METHOD:REQUEST", 'X-NAME;X-A=a"b:c\nMETHOD:REQUEST'),
        ("METHOD:REQUEST", "METHOD:RE\n QUEST"),
        ("METHOD:REQUEST", "METH\n\tOD:REQUEST"),
        ("METHOD:REQUEST", 'X-NAME;X-A="a:b;c",d:e\nMETHOD:REQUEST'),
        (
            "BEGIN:VEVENT",
            "BEGIN:VTIMEZONE\nBEGIN:STANDARD\nEND:STANDARD\nEND:VTIMEZONE\nBEGIN:VEVENT",
        ),
        ("SUMMARY", "\nSUMMARY"),
        ("END:VCALENDAR\n", "END:VCALENDAR\n\n \n"),
        ("BEGIN:VEVENT", "begin:vevent"),
    ],
)
def test_calendars_are_taken_in_every_form_that_readers_know(old: str, new: str) -> None:
    assert old in CALENDAR
    assert read_method(CALENDAR.replace(old, new)) is Method.REQUEST


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (CALENDAR, "", "must be one object"),
        (CALENDAR, "Hello", "content line"),
        (CALENDAR, "BEGIN:VCARD\nEND:VCARD\n", "must be one object"),
        ("BEGIN:VCALENDAR", "X-A:b\nBEGIN:VCALENDAR", "must be one object"),
        ("END:VCALENDAR\n", "END:VCALENDAR\nX-A:b\n", "must be one object"),
        ("END:VCALENDAR\n", f"END:VCALENDAR\n{CALENDAR}", "must be one object"),
        ("END:VCALENDAR\n", "", "cut off"),
        ("END:VEVENT\nEND:VCALENDAR\n", "", "cut off"),
        ("END:VEVENT\n", "", "ends nothing"),
        ("END:VEVENT", "END:VTODO", "ends nothing"),
        ("BEGIN:VCALENDAR", "END:VCALENDAR", "ends nothing"),
        ("METHOD:REQUEST\n", "", "METHOD once"),
        ("METHOD:REQUEST", "METHOD:REQUEST\nMETHOD:CANCEL", "METHOD once"),
        ("METHOD:REQUEST", "METHOD:INVITE", "use one of"),
        ("METHOD:REQUEST", "METHOD:", "use one of"),
        ("VERSION:2.0\n", "", "VERSION once"),
        ("PRODID:-//shop.example//EN\n", "", "PRODID once"),
        ("SUMMARY:", "SUMMARY ", "content line"),
        ("SUMMARY:", "SUMMARY:\0", r"U\+0000"),
        ("SUMMARY:", "SUMMARY:\x1b", r"U\+001B"),
        ("SUMMARY:", "SUMMARY:\ud800", "lone surrogate"),
    ],
)
def test_what_no_reader_understands_is_refused_with_the_remedy(
    old: str, new: str, reason: str
) -> None:
    assert old in CALENDAR
    with pytest.raises(InvitationError, match=reason):
        read_method(CALENDAR.replace(old, new))


def test_an_empty_calendar_is_refused() -> None:
    with pytest.raises(InvitationError, match="needs a component"):
        read_method("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:a\nMETHOD:PUBLISH\nEND:VCALENDAR")


def test_the_method_that_is_told_is_the_one_inside() -> None:
    with pytest.raises(InvitationError, match="must be the same"):
        Invitation(CALENDAR, Method.CANCEL)


def test_the_file_of_an_invitation_has_a_name_like_any_file() -> None:
    with pytest.raises(FilenameError):
        Invitation(CALENDAR, Method.REQUEST, "a\n.ics")


@given(st.text(max_size=200) | st.text(st.sampled_from('BEGINVCALD:;="\n \t-'), max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert _refusal(text).isprintable()


def _refusal(text: str) -> str:
    try:
        return read_method(text).value
    except InvitationError as error:
        return error.reason


@pytest.mark.parametrize("line", ['X;A=""', 'X;A="', "X;", "X"], ids=repr)
def test_hostile_lines_are_read_as_quickly_as_others(line: str) -> None:
    # With a way to read each part twice this would take longer than anybody lives.
    hostile = line + line[-1] * 100_000
    with pytest.raises(InvitationError, match="no content line"):
        read_method(CALENDAR.replace("METHOD:REQUEST", hostile))


def test_a_calendar_of_very_many_lines_is_refused() -> None:
    long = CALENDAR.replace("METHOD:REQUEST\n", "METHOD:REQUEST\n" + "X-A:b\n" * MAX_LINES)
    with pytest.raises(InvitationError, match="attach it as a file"):
        read_method(long)
