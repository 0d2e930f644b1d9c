"""The rules of a key's life, for whatever is done in whatever order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest
from app.identity.keys.dkimkeys import (
    DomainKey,
    Keys,
    KeyState,
    aging_since,
    awaited,
    confirmed,
    ended,
    remembered,
    with_room,
)
from app.mail.dkim import Algorithm

START = datetime(2026, 1, 31, tzinfo=UTC)
KEPT = timedelta(days=21)


@dataclass(frozen=True)
class Step:
    what: str
    which: int
    hours: int


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["rotate", "import", "confirm", "confirm all", "revoke"]),
        st.integers(0, 30),
        st.integers(0, 24 * 40),
    ),
    max_size=30,
)


def new(selector: str, algorithm: Algorithm, now: datetime, *, is_imported: bool) -> DomainKey:
    return DomainKey(selector, algorithm, f"v=DKIM1; p={selector}", now, is_imported)


def after(keys: Keys, step: Step, now: datetime, serial: int) -> Keys:
    """Return the keys after a step; one that is refused changes nothing."""
    names = [key.selector for key in keys]
    algorithm = list(Algorithm)[step.which % 2]
    chosen = names[step.which % len(names)] if names else ""
    try:
        match step.what:
            case "rotate" if not awaited(keys):
                fresh = [new(f"{serial}{a}", a, now, is_imported=False) for a in Algorithm]
                return with_room(keys, tuple(fresh))
            case "import":
                return with_room(keys, (new(f"i{serial}", algorithm, now, is_imported=True),))
            case "confirm":
                return confirmed(keys, {chosen}, now, KEPT)
            case "confirm all":
                return confirmed(keys, names, now, KEPT)
            case "revoke" if names:
                return ended(keys, chosen, now, even_if_last=False)
    except InvalidRequest:
        pass
    return keys


@given(STEPS)
def test_a_domain_that_signs_goes_on_signing_and_keeps_records_as_long_as_mail_needs_them(
    steps: list[Step],
) -> None:
    keys: Keys = ()
    now, signed_until = START, dict[str, datetime]()
    for serial, step in enumerate(steps):
        now += timedelta(hours=step.hours)
        for key in keys:
            if key.is_active:
                signed_until[key.selector] = now
        before = keys = remembered(keys, now)
        keys = after(keys, step, now, serial)
        assert any(key.is_active for key in keys) >= any(key.is_active for key in before)
        assert len({key.selector for key in keys}) == len(keys) <= 20
        for key in keys:
            if key.state(now) is KeyState.RETIRED:
                assert now >= signed_until.get(key.selector, START) + KEPT
            assert (key.published() == key.record) != (key.state(now) is KeyState.REVOKED)
            assert key.is_usable == (key.state(now) in {KeyState.PENDING, KeyState.ACTIVE})
        aging = aging_since(keys)
        assert (aging is None) == (bool(awaited(keys)) or not any(k.is_active for k in keys))


@given(STEPS, st.data())
def test_confirming_again_changes_nothing(steps: list[Step], data: st.DataObject) -> None:
    keys: Keys = ()
    for serial, step in enumerate(steps):
        keys = after(keys, step, START, serial)
    found = data.draw(st.sets(st.sampled_from([key.selector for key in keys] or [""])))
    once = confirmed(keys, found, START, KEPT)
    assert confirmed(once, found, START + timedelta(days=1), KEPT) == once
