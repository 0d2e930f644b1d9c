"""`pillarbox dev` as its users meet it: started, pasted from, stopped, killed, and refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from app.processes.ports import free_port
from tests.fakes.waiting import wait_until

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0  # a start needs seconds where many tests share few cores
# What somebody may have set for another installation; all of it must be without effect.
FOREIGN = {
    "PILLARBOX_DOMAINS__REQUIRED": "true",
    "PILLARBOX_REDIS__URL": "redis://127.0.0.1:1/0",
    "pillarbox_delivery__catch_all": "127.0.0.1:1",
    "PILLARBOX_DELIVERY": '{"catch_all": "127.0.0.1:1"}',
    "Pillarbox_Api__Host": "192.0.2.1",
}


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except FileNotFoundError:
        return True


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if "PILLARBOX" not in name.upper()}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **extra}


class Dev:
    """A running `pillarbox dev` in a working directory of its own."""

    def __init__(
        self, directory: Path, extra: Mapping[str, str] | None = None, output: int | None = None
    ) -> None:
        self.directory = directory
        self.data = directory / ".pillarbox"
        self.port = free_port()
        self._output = directory / "output"
        command = [sys.executable, "-P", "-m", "app.cli", "dev"]
        command += [f"--port={self.port}", f"--smtp-port={free_port()}"]
        with self._output.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env=environment(extra or {}),
                stdout=file if output is None else output,
                stderr=file,
            )

    @property
    def said(self) -> str:
        return self._output.read_text()

    def says(self, wanted: str) -> None:
        """Wait until it has printed this."""
        wait_until(
            lambda: wanted in self.said or self.process.poll() is not None, lambda: self.said
        )
        assert wanted in self.said

    def children(self) -> dict[str, int]:
        """Return its child processes by a word that tells them apart."""
        pid = self.process.pid
        pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        commands = {int(child): Path(f"/proc/{child}/cmdline").read_text() for child in pids}
        words = {"valkey": "unixsocket", "worker": "worker", "api": "api"}
        return {
            name: child
            for name, word in words.items()
            for child, command in commands.items()
            if word in re.split(r"[\0/.: -]", command)
        }

    def __enter__(self) -> Dev:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGTERM)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def paste(self) -> str:
        """Run the printed command as a shell would and return what it prints."""
        (command,) = re.findall(r"^curl .*?}'$", self.said, re.MULTILINE | re.DOTALL)
        return subprocess.run(
            ["/bin/sh", "-c", command], capture_output=True, check=True, text=True
        ).stdout

    def get(self, path: str) -> str:
        key = (self.data / "key").read_text()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            body = answer.read()
            assert isinstance(body, bytes)
            return body.decode()

    def post(self, to: str) -> str:
        """Send a mail and return the message's id."""
        body = {"from": "hello@example.com", "to": [to], "subject": f"to {to}", "text": "hi"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/messages",
            data=json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {(self.data / 'key').read_text()}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            identity = json.load(answer)["id"]
            assert isinstance(identity, str)
            return identity

    def happens(self, message: str, *wanted: str) -> None:
        """Wait until the last of these events has happened, and compare all of them."""

        def events() -> list[str]:
            found = json.loads(self.get(f"/messages/{message}/events"))["data"]
            return [event["type"].removeprefix("message.") for event in found]

        wait_until(lambda: wanted[-1] in events(), lambda: str(events()))
        assert events() == list(wanted)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """One running instance; folders of likely names and foreign settings must not disturb it."""
    directory = tmp_path_factory.mktemp("dev")
    for name in ("app", "worker"):
        (directory / name).mkdir()
        (directory / name / "__init__.py").write_text("raise SystemExit('not this one')")
    with Dev(directory, FOREIGN) as running:
        running.says("Ctrl-C ends it.")
        yield running


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_pasted_command_puts_a_mail_into_the_mailbox(dev: Dev) -> None:
    assert json.loads(dev.paste())["recipients"][0]["status"] == "queued"
    dev.says("you@example.net  Hello  http")
    assert "Posted with Pillarbox" in dev.get(dev.said.split(f":{dev.port}")[-1].strip())


def test_mail_arrives_signed_and_encrypted(dev: Dev) -> None:
    dev.happens(dev.post("ann@example.org"), "queued", "delivered")
    (envelope,) = (
        path for path in dev.data.glob("mailbox/*.json") if "ann@example.org" in path.read_text()
    )
    assert "TLSv1.3" in envelope.read_text()
    signatures = re.findall(
        rb"^DKIM-Signature:", envelope.with_suffix(".eml").read_bytes(), re.MULTILINE
    )
    assert len(signatures) == 2


def test_special_addresses_show_the_other_outcomes(dev: Dev) -> None:
    deferred, bounced = dev.post("deferred@example.net"), dev.post("bounced@example.net")
    dev.happens(bounced, "queued", "bounced")
    dev.happens(deferred, "queued", "deferred", "delivered")


def test_the_printed_addresses_answer(dev: Dev) -> None:
    for path in re.findall(
        rf"http://127\.0\.0\.1:{dev.port}(/docs|/mailbox)$", dev.said, re.MULTILINE
    ):
        assert "<!doctype html>" in dev.get(path)


def test_what_is_private_is_private(dev: Dev) -> None:
    assert dev.data.stat().st_mode & 0o077 == 0
    for name in ("key", "secret"):
        assert (dev.data / name).stat().st_mode & 0o077 == 0
    assert (dev.data / ".gitignore").read_text() == "*\n"


def refused(directory: Path, *arguments: str) -> str:
    """Return what a start that must fail says: one sentence, and exit code 1."""
    command = [sys.executable, "-P", "-m", "app.cli", "dev", *arguments]
    ended = subprocess.run(
        command,
        cwd=directory,
        env=environment({}),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    return ended.stderr


def test_a_second_instance_on_the_folder_is_refused(dev: Dev) -> None:
    said = refused(dev.directory, f"--port={free_port()}", f"--smtp-port={free_port()}")
    assert "another `pillarbox dev` is running on the folder" in said


@pytest.mark.parametrize("option", ["--port", "--smtp-port"])
def test_a_port_in_use_is_named(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        others = {"--port": free_port(), "--smtp-port": free_port(), option: port}
        said = refused(tmp_path, *(f"{name}={value}" for name, value in others.items()))
    assert f"port {port} of 127.0.0.1" in said
    assert option in said


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot write to the folder" in refused(tmp_path, "--data=file/data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "cannot write to the folder" in refused(tmp_path)


def test_it_ends_in_order_and_a_second_start_finds_everything(tmp_path: Path) -> None:
    with Dev(tmp_path) as first:
        first.says("Ctrl-C ends it.")
        children = first.children()
        assert set(children) == {"valkey", "worker", "api"}
        message = first.post("ann@example.org")
        first.happens(message, "queued", "delivered")
        key = (first.data / "key").read_text()
        assert first.end(signal.SIGINT) == 0
        assert "Traceback" not in first.said
        assert all(map(is_gone, children.values()))

    with Dev(tmp_path) as second:
        second.says("Ctrl-C ends it.")
        assert f"API key     {key}\n" in second.said
        second.happens(message, "queued", "delivered")
        assert "to ann@example.org" in second.get("/mailbox")


@pytest.mark.parametrize(("name", "told"), [("worker", "the worker"), ("valkey", "Valkey")])
def test_the_end_of_one_part_ends_all_and_is_told(tmp_path: Path, name: str, told: str) -> None:
    with Dev(tmp_path) as dev:
        dev.says("Ctrl-C ends it.")
        children = dev.children()
        os.kill(children[name], signal.SIGKILL)
        assert dev.process.wait(PATIENCE_S) == 1
        sentence = dev.said.strip().splitlines()[-1]
        assert f"{told} ended unexpectedly (by signal 9); its log is " in sentence
        assert sentence.endswith(f"/.pillarbox/logs/{name}.log")
        assert "Traceback" not in dev.said
        assert all(map(is_gone, children.values()))


def test_a_part_that_does_not_start_is_told(tmp_path: Path) -> None:
    with Dev(tmp_path, {"PILLARBOX_WORKER__DRAINS": "none"}) as dev:
        assert dev.process.wait(PATIENCE_S) == 1
        sentence = dev.said.strip().splitlines()[-1]
        assert "ended unexpectedly (exit code 2); its log is " in sentence
        assert "Traceback" not in dev.said


def test_a_kill_leaves_nothing_running(tmp_path: Path) -> None:
    with Dev(tmp_path) as dev:
        dev.says("Ctrl-C ends it.")
        children = dev.children()
        dev.end(signal.SIGKILL)
        wait_until(lambda: all(map(is_gone, children.values())), lambda: f"left: {children}")


def test_it_ends_when_nobody_reads_what_it_prints(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with Dev(tmp_path, output=writing) as dev:
        os.close(writing)
        wait_until((dev.data / "mailbox" / "example.txt").exists, lambda: "not ready")
        assert dev.end(signal.SIGTERM) == 0


def test_ctrl_c_while_it_starts_is_a_clean_end(tmp_path: Path) -> None:
    with Dev(tmp_path) as dev:
        wait_until(lambda: (dev.data / "valkey").exists(), lambda: dev.said)
        assert dev.end(signal.SIGINT) == 0
        assert "Traceback" not in dev.said
