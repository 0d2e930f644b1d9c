"""The folder of mails: whole or absent, newest first, and deaf to ids that are none."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.catchall.folder import Arrival, MailFolder, new_mail_id


def arrived(subject: str = "hello") -> Arrival:
    return Arrival(
        id=new_mail_id(),
        received_at=datetime(2030, 1, 2, tzinfo=UTC),
        ehlo="client.example",
        mail_from="hello@example.com",
        recipients=(f"{subject}@example.net",),
        tls=None,
        size_bytes=4,
    )


def folder_of(tmp_path: Path, *arrivals: Arrival) -> MailFolder:
    folder = MailFolder(tmp_path / "mailbox")
    folder.prepare()
    for arrival in arrivals:
        folder.keep(arrival, b"mail")
    return folder


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    arrival = arrived()
    folder = folder_of(tmp_path, arrival)
    assert folder.find(arrival.id) == arrival
    assert folder.content(arrival) == b"mail"


def test_the_newest_come_first_and_no_more_than_wanted(tmp_path: Path) -> None:
    arrivals = [arrived(str(number)) for number in range(5)]
    assert folder_of(tmp_path, *arrivals).newest(3) == tuple(arrivals[:1:-1])


def test_the_state_changes_with_each_mail(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    states = [folder.state()]
    for _ in range(3):
        folder.keep(arrived(), b"mail")
        states.append(folder.state())
    assert len(set(states)) == 4


def test_a_mail_without_its_envelope_is_not_there_yet(tmp_path: Path) -> None:
    arrival = arrived()
    folder = folder_of(tmp_path, arrival)
    (folder.directory / f"{arrival.id}.json").unlink()
    assert folder.newest(10) == ()
    assert folder.find(arrival.id) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"id": 7}', b"\xff\xfe"])
def test_a_damaged_file_is_passed_over(tmp_path: Path, damage: bytes) -> None:
    whole, damaged = arrived("whole"), arrived("damaged")
    folder = folder_of(tmp_path, whole, damaged)
    (folder.directory / f"{damaged.id}.json").write_bytes(damage)
    assert folder.newest(10) == (whole,)


@pytest.mark.parametrize(
    "identity",
    ["", ".", "..", "../secret", "a" * 31, "a" * 33, "A" * 32, "a" * 32 + "\n", "é" * 32],
)
def test_an_id_that_is_none_finds_nothing(tmp_path: Path, identity: str) -> None:
    folder = folder_of(tmp_path, arrived())
    (tmp_path / "secret.json").write_bytes(b"{}")
    assert folder.find(identity) is None


def test_a_missing_folder_is_an_empty_one(tmp_path: Path) -> None:
    folder = MailFolder(tmp_path / "nowhere")
    assert folder.newest(10) == ()
    assert folder.state() == "0"
