from __future__ import annotations

import os

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.errors import VaultClosed
from app.identity.keys.vault import Vault

KEYS = st.binary(min_size=32, max_size=32)
PLACES = st.lists(st.text(max_size=40), max_size=5)


@given(KEYS, st.binary(max_size=3000), PLACES)
def test_what_is_sealed_opens_at_its_place(key: bytes, secret: bytes, place: list[str]) -> None:
    assert Vault([key]).open(Vault([key]).seal(secret, place), place) == secret


@given(KEYS, st.binary(max_size=100), PLACES, PLACES)
def test_what_is_sealed_opens_at_no_other_place(
    key: bytes, secret: bytes, place: list[str], other: list[str]
) -> None:
    assume(place != other)
    with pytest.raises(VaultClosed):
        Vault([key]).open(Vault([key]).seal(secret, place), other)


@given(st.data(), KEYS, st.binary(max_size=100), PLACES)
def test_what_was_changed_or_cut_off_does_not_open(
    data: st.DataObject, key: bytes, secret: bytes, place: list[str]
) -> None:
    sealed = bytearray(Vault([key]).seal(secret, place))
    if data.draw(st.booleans()):
        sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del sealed[data.draw(st.integers(0, len(sealed) - 1)) :]
    with pytest.raises(VaultClosed):
        Vault([key]).open(bytes(sealed), place)


@given(st.lists(KEYS, min_size=2, max_size=4, unique=True), st.binary(max_size=100))
def test_a_new_secret_takes_over_from_former_ones(keys: list[bytes], secret: bytes) -> None:
    former = Vault(keys[1:])
    sealed = former.seal(secret, ["here"])
    both = Vault(keys)
    assert both.open(sealed, ["here"]) == secret
    assert former.is_current(sealed)
    assert not both.is_current(sealed)
    again = both.seal(secret, ["here"])
    assert both.is_current(again)
    with pytest.raises(VaultClosed, match="FORMER_KEYS"):
        former.open(again, ["here"])


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    vault = Vault([os.urandom(32)])
    assert len({vault.seal(b"secret", ["here"]) for _ in range(1000)}) == 1000


def test_without_a_secret_the_vault_stays_closed_and_says_what_to_set() -> None:
    sealed = Vault([os.urandom(32)]).seal(b"secret", ["here"])
    for use in (
        lambda: Vault([]).seal(b"secret", ["here"]),
        lambda: Vault([]).open(sealed, ["here"]),
        lambda: Vault([]).is_current(sealed),
    ):
        with pytest.raises(VaultClosed, match="PILLARBOX_SECRETS__KEY"):
            use()


def test_a_vault_shows_no_keys() -> None:
    key = b"k" * 32
    vault = Vault([key])
    assert "kkk" not in repr(vault) + repr(vars(vault))
