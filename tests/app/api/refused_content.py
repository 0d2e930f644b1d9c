"""Rows of `test_bad_input` about what a message says: invitations, AMP, threads, files and fields of lists."""

from __future__ import annotations

from tests.app.mail.mime.calendars import CALENDAR

AMP = "<!doctype html><html ⚡4email></html>"

BROKEN = ["YQ", "YW\nE=", "data:;base64,YQ==", "-_-_", "é", "YQ===", "YWJj="]
"""What is no base64, though some readers take it."""


def _calendar(**fields: object) -> dict[str, object]:
    return {"calendar": {"content": CALENDAR, **fields}}


def _file(**fields: object) -> dict[str, object]:
    return {"attachments": [{"filename": "a", "content": "", **fields}]}


REFUSED_CONTENT: list[tuple[dict[str, object], list[tuple[str, str]]]] = [
    # invitations
    ({"calendar": CALENDAR}, [("/calendar", "wrong_type")]),
    ({"calendar": {}}, [("/calendar/content", "required")]),
    (_calendar(content="Hello"), [("/calendar/content", "invalid_calendar")]),
    (_calendar(content=CALENDAR[:-6]), [("/calendar/content", "invalid_calendar")]),
    (
        _calendar(content=CALENDAR.replace("METHOD", "X-A")),
        [("/calendar/content", "invalid_calendar")],
    ),
    (_calendar(content="\0"), [("/calendar/content", "control_character")]),
    (_calendar(content="\ud800"), [("/calendar/content", "lone_surrogate")]),
    (_calendar(method="CANCEL"), [("/calendar/method", "invalid_calendar")]),
    (_calendar(method="INVITE"), [("/calendar/method", "unknown_value")]),
    (_calendar(method="request"), [("/calendar/method", "unknown_value")]),
    (_calendar(filename="a\n.ics"), [("/calendar/filename", "control_character")]),
    (_calendar(filename="\u202esci.exe"), [("/calendar/filename", "invalid_calendar")]),
    (_calendar(organizer="a@b.example"), [("/calendar/organizer", "unknown_field")]),
    # AMP
    ({"amp": AMP}, [("/html", "required")]),
    ({"amp": "<html>", "html": ""}, [("/amp", "invalid_amp")]),
    ({"amp": "<html>"}, [("/html", "required"), ("/amp", "invalid_amp")]),
    ({"amp": f"{AMP}\0", "html": ""}, [("/amp", "control_character")]),
    # threads
    ({"in_reply_to": ""}, [("/in_reply_to", "invalid_message_id")]),
    ({"in_reply_to": "msg_0192f0c1"}, [("/in_reply_to", "invalid_message_id")]),
    ({"in_reply_to": "<a@b.example> <c@d.example>"}, [("/in_reply_to", "invalid_message_id")]),
    ({"in_reply_to": "<a@b.example>\r\nX: y"}, [("/in_reply_to", "control_character")]),
    ({"in_reply_to": ["<a@b.example>"]}, [("/in_reply_to", "wrong_type")]),
    ({"in_reply_to": f"{'a' * 900}@b.example"}, [("/in_reply_to", "invalid_message_id")]),
    ({"references": 1}, [("/references", "wrong_type")]),
    ({"references": {"a": "b"}}, [("/references", "wrong_type")]),
    ({"references": ["a@b.example", 1]}, [("/references/1", "wrong_type")]),
    ({"references": ["a@b.example", "b"]}, [("/references/1", "invalid_message_id")]),
    ({"references": "a@b.example b"}, [("/references", "invalid_message_id")]),
    ({"references": "<a@b.example>\r\n\t<b@c.example>"}, [("/references", "control_character")]),
    ({"references": " a@b.example" * 6_000}, [("/references", "too_long")]),
    ({"references": ["a@b.example"] * 1_001}, [("/references", "too_many")]),
    (
        {"in_reply_to": "a@b.example", "headers": {"references": "<a@b.example>"}},
        [("/headers/references", "excluded")],
    ),
    (
        {"references": [], "headers": {"In-Reply-To": "<a@b.example>"}},
        [("/headers/In-Reply-To", "excluded")],
    ),
    # files
    *((_file(content=bad), [("/attachments/0/content", "invalid_base64")]) for bad in BROKEN),
    (
        {
            "attachments": [
                {"filename": "a", "content": "YQ=="},
                {"filename": "b", "content": "Y*=="},
            ]
        },
        [("/attachments/1/content", "invalid_base64")],
    ),
    (_file(content_type="text"), [("/attachments/0", "invalid_attachment")]),
    (_file(content_id="<a>"), [("/attachments/0", "invalid_attachment")]),
    (
        {"attachments": [{"filename": "a", "content": "", "content_id": "a"}] * 2},
        [("/attachments/1/content_id", "duplicate")],
    ),
    (_file(filename="..."), [("/attachments/0", "invalid_attachment")]),
    (_file(filename="invoice\u202efdp.exe"), [("/attachments/0", "invalid_attachment")]),
    (_file(content_type="multipart/mixed"), [("/attachments/0", "invalid_attachment")]),
    (_file(content_type="message/partial"), [("/attachments/0", "invalid_attachment")]),
    # fields that programs read
    ({"headers": {"List-Id": "news"}}, [("/headers/List-Id", "invalid_header_field")]),
    (
        {"headers": {"List-Unsubscribe": "https://shop.example/u"}},
        [("/headers/List-Unsubscribe", "invalid_header_field")],
    ),
    (
        {"headers": {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}},
        [("/headers", "invalid_header_field")],
    ),
    ({"headers": {"Auto-Submitted": "yes"}}, [("/headers/Auto-Submitted", "invalid_header_field")]),
    ({"headers": {"Feedback-ID": "a:"}}, [("/headers/Feedback-ID", "invalid_header_field")]),
]
