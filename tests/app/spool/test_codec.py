"""Stored forms of an earlier version are read as what they meant then."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from app.events import AttemptRecord, Category, Delivery, Peer
from app.messages import RecipientState, Status
from app.spool.codec import ATTEMPT, STATE, Codec

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PEER = Peer("mx.example.org", "192.0.2.1", "TLSv1.3", "out1", "192.0.2.7")
DELIVERY = Delivery(Category.POLICY, None, PEER, "come back later", False, NOW)
STATES = RecipientState(Status.DEFERRED, 1, 0, NOW, DELIVERY, "out1")
ATTEMPTS = AttemptRecord(NOW, NOW, (), (), PEER, "come back later")
LATER = {"source", "source_address"}
"""Fields that records did not have at first."""


def aged(value: object) -> object:
    """Return what is left of a value without the later fields."""
    if isinstance(value, dict):
        return {key: aged(each) for key, each in value.items() if key not in LATER}
    return value


def stored_earlier(stored: bytes) -> bytes:
    return stored[:1] + msgspec.msgpack.encode(aged(msgspec.msgpack.decode(stored[1:])))


@pytest.mark.parametrize(("codec", "value"), [(STATE, STATES), (ATTEMPT, ATTEMPTS)])
def test_what_is_stored_comes_back(codec: Codec[object], value: object) -> None:
    assert codec.decode(codec.encode(value)) == value


def test_a_state_of_before_sources_has_none() -> None:
    state = STATE.decode(stored_earlier(STATE.encode(STATES)))
    assert (state.status, state.attempts, state.due_at) == (Status.DEFERRED, 1, NOW)
    assert state.source is None
    assert state.last is not None
    assert state.last.peer == Peer("mx.example.org", "192.0.2.1", "TLSv1.3")


def test_an_attempt_of_before_sources_has_none() -> None:
    attempt = ATTEMPT.decode(stored_earlier(ATTEMPT.encode(ATTEMPTS)))
    assert attempt.peer == Peer("mx.example.org", "192.0.2.1", "TLSv1.3")
