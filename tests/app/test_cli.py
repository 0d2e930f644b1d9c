"""The `pillarbox` command: its tools print what can be used as it is, its errors are sentences."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import dns.rdata
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from typer.testing import CliRunner, Result

from app.cli import cli
from app.identity.keys.keyfolder import KeyFolder
from app.mail.dkim import Algorithm, public_record
from app.settings import read_settings

ROOT = Path(__file__).parents[2]


def pillarbox(*arguments: str, **environment: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(cli, arguments, env=environment)


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "app.cli", *arguments],
        env={**_clean(os.environ), "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if "PILLARBOX" not in name.upper()}


def test_the_version_is_printed() -> None:
    assert pillarbox("--version").output.startswith("pillarbox ")


def test_without_arguments_it_explains_itself() -> None:
    for command in ("api", "worker", "dev", "keys", "dkim", "secrets"):
        assert command in pillarbox().output


@pytest.mark.parametrize("command", ["api", "worker"])
def test_contradicting_settings_are_one_message_and_exit_code_2(command: str) -> None:
    ended = process(command, PILLARBOX_API__PORT="none")
    assert ended.returncode == 2
    assert "PILLARBOX_API__PORT: " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "variable", ["PILLARBOX_SECRETS__FORMER_KEYS", "PILLARBOX_DOMAINS__SHARED"]
)
def test_a_list_that_is_no_json_is_one_message_without_its_value(variable: str) -> None:
    ended = process("api", **{variable: "[c2VjcmV0"})
    assert ended.returncode == 2
    assert (
        f"{variable.rpartition('__')[0]}__…: a list or an object is written in JSON" in ended.stderr
    )
    assert ended.stderr.count("\n") == 1
    assert "c2VjcmV0" not in ended.stderr


def test_a_key_is_printed_once_and_works_until_revoked(valkey_url: str) -> None:
    settings = {"PILLARBOX_REDIS__URL": valkey_url, "PILLARBOX_DKIM__REQUIRED": "false"}
    made = pillarbox("keys", "create", "--project", "shop", "--name", "checkout", **settings)
    assert re.fullmatch(r"pb_[0-9a-f_]+\n", made.output)
    identity = made.output.split("_")[1]
    assert pillarbox("keys", "revoke", identity, **settings).output == "revoked\n"
    again = pillarbox("keys", "revoke", identity, **settings)
    assert again.exit_code == 1
    assert again.output == "there is no such key\n"


def test_a_project_that_cannot_be_is_explained(valkey_url: str) -> None:
    settings = {"PILLARBOX_REDIS__URL": valkey_url, "PILLARBOX_DKIM__REQUIRED": "false"}
    made = pillarbox("keys", "create", "--project", "No Such\n", **settings)
    assert made.exit_code == 1
    assert "a-z" in made.output


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"PILLARBOX_SECRETS__KEY": "hunter2" * 3}, "32 random bytes"),
        ({"PILLARBOX_SECRETS__KEY": "5f" * 31}, "32 random bytes"),
        ({"PILLARBOX_UNSUBSCRIBE__BASE_URL": "https://mail.example"}, "secrets.key is not"),
        ({"PILLARBOX_UNSUBSCRIBE__BASE_URL": "http://mail.example"}, "no public URL"),
        ({"PILLARBOX_UNSUBSCRIBE__BASE_URL": "https://a@mail.example"}, "no public URL"),
        ({"PILLARBOX_UNSUBSCRIBE__BASE_URL": "https://mail.example/?x"}, "no public URL"),
    ],
)
def test_a_secret_and_a_url_for_links_are_checked_at_the_start(
    environment: dict[str, str], told: str
) -> None:
    ended = process("api", PILLARBOX_DKIM__REQUIRED="false", **environment)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "hunter2" not in ended.stderr


def test_a_printed_secret_is_a_new_one_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (pillarbox("secrets", "create").output.strip() for _ in range(2))
    assert one != other
    monkeypatch.setenv("PILLARBOX_DKIM__REQUIRED", "false")
    monkeypatch.setenv("PILLARBOX_SECRETS__KEY", one)
    monkeypatch.setenv("PILLARBOX_SECRETS__FORMER_KEYS", f'["{other}", "{"5f" * 32}"]')
    settings = read_settings()
    keys = settings.secrets.derived("a purpose")
    assert len(set(keys)) == 3
    assert {len(key) for key in keys} == {32}
    assert settings.secrets.derived("another purpose")[0] not in keys
    assert one not in repr(settings)


def test_an_absent_store_is_explained() -> None:
    settings = {
        "PILLARBOX_REDIS__URL": "redis://127.0.0.1:1/0",
        "PILLARBOX_DKIM__REQUIRED": "false",
    }
    made = pillarbox("keys", "create", "--project", "shop", **settings)
    assert made.exit_code == 1
    assert "Redis does not answer" in made.output


def test_dkim_keys_are_private_loadable_and_published_as_printed(tmp_path: Path) -> None:
    made = pillarbox("dkim", "create", "Example.COM", "--directory", str(tmp_path))
    assert made.exit_code == 0
    keys = KeyFolder(tmp_path).keys_for("example.com")
    assert {key.algorithm for key in keys} == set(Algorithm)
    (rsa,) = [key.secret for key in keys if isinstance(key.secret, RSAPrivateKey)]
    assert (rsa.key_size, rsa.public_key().public_numbers().e) == (2048, 65537)
    for key in keys:
        path = tmp_path / "example.com" / f"{key.selector}.pem"
        assert path.stat().st_mode & 0o077 == 0
        assert f"name   {key.selector}._domainkey.example.com\ntype   TXT\n" in made.output
        (value,) = re.findall(rf"{key.selector}\._domainkey.*\n.*\nvalue  (.*)", made.output)
        assert value == public_record(key)


def test_printed_records_are_valid_in_a_zone(tmp_path: Path) -> None:
    made = pillarbox("dkim", "create", "example.com", "--directory", str(tmp_path))
    for value in re.findall(r"^value  (.*)$", made.output, re.MULTILINE):
        parts = " ".join(f'"{value[at : at + 255]}"' for at in range(0, len(value), 255))
        assert dns.rdata.from_text("IN", "TXT", parts).to_text() == parts


def test_existing_dkim_keys_are_left_alone(tmp_path: Path) -> None:
    first = pillarbox("dkim", "create", "example.com", "--directory", str(tmp_path))
    second = pillarbox("dkim", "create", "example.com", "--directory", str(tmp_path))
    assert second.output.count("exists and was left as it is") == 2
    values = re.compile(r"^value .*$", re.MULTILINE)
    assert values.findall(first.output) == values.findall(second.output)


def test_a_domain_in_another_script_gets_its_a_labels(tmp_path: Path) -> None:
    pillarbox("dkim", "create", "münchen.example", "--directory", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["xn--mnchen-3ya.example"]


@pytest.mark.parametrize(
    "domain", ["", "..", "../x", "a/b", "example .com", "a@b.example", "x" * 300]
)
def test_a_domain_that_cannot_be_is_refused(tmp_path: Path, domain: str) -> None:
    made = pillarbox("dkim", "create", "--directory", str(tmp_path), "--", domain)
    assert made.exit_code == 1
    assert "no domain" in made.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("selector", ["", "..", "../x", "a b", "a/b", "ü"])
def test_a_selector_that_cannot_be_is_refused(tmp_path: Path, selector: str) -> None:
    made = pillarbox(
        "dkim", "create", "example.com", "--directory", str(tmp_path), f"--selector={selector}"
    )
    assert made.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    made = pillarbox("dkim", "create", "example.com", "--directory", str(tmp_path / "file"))
    assert made.exit_code == 1
    assert "cannot use the folder" in made.output
