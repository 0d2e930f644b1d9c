"""Data for recipients that is refused: fields in place of the usual ones, and what is named."""

from __future__ import annotations

ADA = "ada@example.com"


def deep(levels: int) -> dict[str, object]:
    """Return an object that holds an object, and so on."""
    return {"a": deep(levels - 1)} if levels else {}


REFUSED_MERGES: list[tuple[dict[str, object], list[tuple[str, str]]]] = [
    ({"variables": []}, [("/variables", "wrong_type")]),
    ({"variables": {"a": "\ud800"}}, [("/variables", "lone_surrogate")]),
    ({"variables": {"a": "x" * 300_000}}, [("/variables", "too_long")]),
    ({"subject": "{{ name }}", "variables": {}}, [("/variables/name", "missing_variable")]),
    (
        {"subject": "{{ name }}", "variables": {"name": "a\r\nBcc: b@c.example"}},
        [("/variables/name", "control_character")],
    ),
    ({"recipients_data": []}, [("/recipients_data", "wrong_type")]),
    ({"recipients_data": {ADA: "x"}}, [(f"/recipients_data/{ADA}", "wrong_type")]),
    ({"recipients_data": {"ada": {}}}, [("/recipients_data/ada", "invalid_address")]),
    ({"recipients_data": {"a\r\n@b": {}}}, [("/recipients_data/a\r\n@b", "invalid_address")]),
    (
        {"recipients_data": {ADA: {}, "eve~/@example.org": {}}},
        [("/recipients_data/eve~0~1@example.org", "unknown_recipient")],
    ),
    (
        {"recipients_data": {ADA: {}, "ada@EXAMPLE.com": {}}},
        [("/recipients_data/ada@EXAMPLE.com", "duplicate")],
    ),
    (
        {"recipients_data": {}, "cc": "c@example.org", "bcc": ["b@example.org"]},
        [("/cc", "excluded"), ("/bcc", "excluded")],
    ),
    (
        {"recipients_data": {ADA: {"a": {"b": "\ud800"}}}},
        [(f"/recipients_data/{ADA}", "lone_surrogate")],
    ),
    (
        {"recipients_data": {ADA: {"a": "x" * 300_000}}},
        [(f"/recipients_data/{ADA}", "too_long")],
    ),
    ({"recipients_data": {ADA: deep(30)}}, [(f"/recipients_data/{ADA}", "too_deep")]),
    (
        {"subject": "{{ name }}", "recipients_data": {ADA: {"nom": "Ada"}}},
        [(f"/recipients_data/{ADA}/name", "missing_variable")],
    ),
    (
        {"subject": "{{ name }}", "recipients_data": {ADA: {"name": "a\r\nBcc: b@c.example"}}},
        [(f"/recipients_data/{ADA}/name", "control_character")],
    ),
    (
        {"text": "{% if %}", "recipients_data": {}},
        [("/text", "invalid_template")],
    ),
]
