"""The page about sites: its table holds what the profiles say, and its example is one."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

from app.settings.delivering import DeliverySettings
from worker.sites.profiles import Profile, parse_profiles

_PAGE = Path(__file__).parents[3] / "docs" / "sites.md"


def page() -> str:
    return _PAGE.read_text(encoding="utf-8")


def shipped() -> dict[str, dict[str, object]]:
    return tomllib.loads((files("worker.sites") / "profiles.toml").read_text())


def test_the_table_has_a_row_for_each_profile_with_its_values_in_order() -> None:
    row = re.compile(
        r"^\| `([\w-]+)` \| ([^|]+) \|([^|]+)\|([^|]+)\|([^|]+)\|([^|]+)\|$", re.MULTILINE
    )
    told = [[cell.strip() for cell in cells] for cells in row.findall(page())]
    limits = ("first", "window", "mails", "rate")
    assert told == [
        [
            name,
            ", ".join(profile.exchangers),
            *(str(shipped()[name].get(key, "")) for key in limits),
        ]
        for name, profile in parse_profiles(shipped(), "").items()
    ]


def test_each_limit_is_named_with_its_setting_and_its_word() -> None:
    row = re.compile(r"^\|.+\| `PILLARBOX_DELIVERY__(\w+)` \| `(\w+)` \|$", re.MULTILINE)
    rows = row.findall(page())
    assert {word for _, word in rows} | {"exchangers"} == set(Profile.model_fields)
    assert {setting.lower() for setting, _ in rows} <= set(DeliverySettings.model_fields)


def test_the_example_of_an_own_file_is_one() -> None:
    (example,) = re.findall(r"```toml\n(.+?)```", page(), re.DOTALL)
    own = tomllib.loads(example)
    profiles = parse_profiles(own | {"google": shipped()["google"] | own["google"]}, "")
    assert profiles["acme"].rest == timedelta(minutes=15)
    assert profiles["google"].window == 40
