"""What the mailbox shows of an invitation: what its reader would see, and nothing where it makes no sense."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.catchall.calendars import read_calendar
from tests.app.mail.mime.calendars import CALENDAR


def test_an_invitation_is_told_in_words() -> None:
    calendar = CALENDAR.replace(
        "DTSTART:",
        "DTEND;TZID=Europe/Berlin:20300201T100000\nLOCATION:Gate 2\\, left\nX-A:b\nDTSTART:",
    ).replace("RSVP=TRUE", "PARTSTAT=ACCEPTED;CN=Jane")
    assert read_calendar(calendar) == (
        ("Method", "REQUEST"),
        ("UID", "1815@shop.example"),
        ("Ends", "2030-02-01 10:00:00 Europe/Berlin"),
        ("Where", "Gate 2, left"),
        ("Begins", "2030-02-01 09:00:00 UTC"),
        ("Organizer", "Shop: Café <shop@example.com>"),
        ("Invited", "Jane <jane@example.net> (accepted)"),
        ("What", "Übergabe 🚚"),
        ("Description", "one line that is folded\nand has METHOD:CANCEL in it"),
    )


def test_days_times_and_people_are_shown_in_whatever_form_they_come() -> None:
    lines = [
        "DTSTART;VALUE=DATE:20300201",
        "DTEND:20300201T100000",
        "DTSTART:soon",
        "ATTENDEE:tel:1",
    ]
    assert [value for _, value in read_calendar("\n".join(lines))] == [
        *["2030-02-01", "2030-02-01 10:00:00 wherever you are", "soon", "tel:1"]
    ]


def test_time_zones_and_alarms_are_no_events() -> None:
    inner = "BEGIN:STANDARD\nDTSTART:19701025T030000\nEND:STANDARD\nBEGIN:VALARM\nDESCRIPTION:x\nEND:VALARM\n"
    assert read_calendar(CALENDAR.replace("BEGIN:VEVENT\n", f"{inner}BEGIN:VEVENT\n")) == (
        read_calendar(CALENDAR)
    )


@given(st.text(max_size=300) | st.text(st.sampled_from('ATENDRSMY:;="\\\n ,1234'), max_size=300))
def test_any_text_is_read(text: str) -> None:
    assert len(read_calendar(text * 100)) <= 100
