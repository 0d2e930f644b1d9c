from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.identity.keys.keyfolder import KeyFolder
from app.mail.dkim import Algorithm, generate_pem

PEM = generate_pem(Algorithm.ED25519)


def put(directory: Path, domain: str, selector: str = "s1") -> None:
    (directory / domain).mkdir(parents=True, exist_ok=True)
    (directory / domain / f"{selector}.pem").write_bytes(PEM)


def test_a_domain_is_signed_for_by_all_its_keys(tmp_path: Path) -> None:
    put(tmp_path, "example.com", "s1")
    put(tmp_path, "example.com", "s2")
    keys = KeyFolder(tmp_path).keys_for("example.com")
    assert [(key.domain, key.selector) for key in keys] == [
        ("example.com", "s1"),
        ("example.com", "s2"),
    ]


def test_a_subdomain_is_signed_for_by_its_nearest_parent(tmp_path: Path) -> None:
    put(tmp_path, "example.com")
    put(tmp_path, "shop.example.com")
    keyring = KeyFolder(tmp_path)
    assert keyring.keys_for("news.shop.example.com")[0].domain == "shop.example.com"
    assert keyring.keys_for("news.example.com")[0].domain == "example.com"


@pytest.mark.parametrize("domain", ["example.org", "notexample.com", "com", ""])
def test_no_key_signs_for_a_stranger(tmp_path: Path, domain: str) -> None:
    put(tmp_path, "example.com")
    assert KeyFolder(tmp_path).keys_for(domain) == ()


def test_the_folders_of_a_mounted_secret_are_no_domains(tmp_path: Path) -> None:
    put(tmp_path, "..2026_01_31")
    put(tmp_path, "example.com")
    assert KeyFolder(tmp_path).keys_for("..2026_01_31") == ()


def test_new_keys_are_found_after_a_while(tmp_path: Path) -> None:
    now = [0.0]
    keyring = KeyFolder(tmp_path, clock=lambda: now[0])
    put(tmp_path, "example.com")
    assert keyring.keys_for("example.com") == ()
    now[0] = 61.0
    assert len(keyring.keys_for("example.com")) == 1


@pytest.mark.parametrize("accident", ["a bad file", "no folder"])
def test_known_keys_go_on_signing_while_the_folder_cannot_be_read(
    tmp_path: Path, accident: str
) -> None:
    now = [0.0]
    put(tmp_path / "dkim", "example.com")
    keyring = KeyFolder(tmp_path / "dkim", clock=lambda: now[0])
    if accident == "no folder":
        (tmp_path / "dkim").rename(tmp_path / "away")
    else:
        (tmp_path / "dkim" / "example.com" / "bad.pem").write_text("not a key")
    now[0] = 61.0
    assert len(keyring.keys_for("example.com")) == 1


def test_a_key_that_was_changed_is_read_again_and_others_are_kept(tmp_path: Path) -> None:
    now = [0.0]
    put(tmp_path, "example.com", "s1")
    put(tmp_path, "example.com", "s2")
    keyring = KeyFolder(tmp_path, clock=lambda: now[0])
    before = keyring.keys_for("example.com")
    (tmp_path / "example.com" / "s2.pem").write_bytes(generate_pem(Algorithm.ED25519) + b"\n")
    now[0] = 61.0
    after = keyring.keys_for("example.com")
    assert (after[0] is before[0], after[1] is before[1]) == (True, False)


def test_a_file_that_is_no_key_ends_the_start_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "example.com").mkdir()
    (tmp_path / "example.com" / "bad.pem").write_text("not a key")
    with pytest.raises(ConfigurationError, match=r"bad\.pem"):
        KeyFolder(tmp_path)


def test_a_missing_folder_ends_the_start_and_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        KeyFolder(tmp_path / "nowhere")


def test_without_a_folder_nothing_is_signed() -> None:
    assert KeyFolder(None).keys_for("example.com") == ()
