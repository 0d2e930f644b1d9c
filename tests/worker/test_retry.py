from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.settings.delivering import DeliverySettings
from worker.retry import spread, wait_after

SCHEDULE = tuple(timedelta(minutes=m) for m in (1, 5, 15))


def test_the_schedule_is_followed_and_its_last_wait_repeats() -> None:
    assert [wait_after(n, SCHEDULE) for n in (1, 2, 3, 4, 99)] == [
        *SCHEDULE,
        SCHEDULE[-1],
        SCHEDULE[-1],
    ]


@given(roll=st.floats(0, 1, exclude_max=True))
def test_a_wait_is_spread_by_no_more_than_its_jitter(roll: float) -> None:
    assert timedelta(minutes=9) <= spread(timedelta(minutes=10), 0.1, roll) <= timedelta(minutes=11)


def test_the_spread_reaches_both_ways() -> None:
    wait = timedelta(minutes=10)
    assert spread(wait, 0.1, 0.0) < wait < spread(wait, 0.1, 0.99)


def test_by_default_mail_is_tried_ever_more_rarely_for_four_days() -> None:
    settings = DeliverySettings(ehlo_name="a.example")
    assert settings.expires_after >= timedelta(days=4)
    assert list(settings.retry_after) == sorted(settings.retry_after)
    assert settings.retry_after[-1] >= timedelta(hours=2)
    # RFC 5321 §4.5.4.1: two tries in the first hour at least.
    assert sum(settings.retry_after[:2], timedelta()) <= timedelta(hours=1)
