"""The guide to the API: what it shows works, and it names every code."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from app.api.problems import KINDS
from tests.app.api.test_bad_input import REFUSED_FIELDS

GUIDE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = '{"id":"evt_1"}'

Verify = Callable[[str, dict[str, str], bytes], None]


@pytest.fixture
def verify() -> Verify:
    """The function that the guide shows."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    names: dict[str, Verify] = {}
    exec(code, names)
    return names["verify"]


def _headers(sent_at: datetime) -> dict[str, str]:
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": f"v1,{'A' * 43}= {Webhook(SECRET).sign('evt_1', sent_at, BODY)}",
    }


def test_shown_verification_takes_what_is_signed(verify: Verify) -> None:
    verify(SECRET, _headers(datetime.now(UTC)), BODY.encode())


def test_shown_verification_refuses_forged_and_old_posts(verify: Verify) -> None:
    now = datetime.now(UTC)
    with pytest.raises(ValueError, match="not signed"):
        verify(SECRET, _headers(now), BODY.encode() + b" ")
    with pytest.raises(ValueError, match="not signed"):
        verify(SECRET, {**_headers(now), "webhook-id": "evt_2"}, BODY.encode())
    with pytest.raises(ValueError, match="too old"):
        verify(SECRET, _headers(now - timedelta(minutes=6)), BODY.encode())


def test_every_code_is_in_the_guide() -> None:
    inside = {"configuration"}  # ends the start, so that no client ever sees it
    fields = {code for _, refused in REFUSED_FIELDS for _, code in refused}
    for code in (KINDS.keys() | fields) - inside:
        assert f"`{code}`" in GUIDE
