"""The folder of arrived mails: for each a `.eml` with its bytes and a `.json` with its envelope.

The server writes it and the pages read it, from two processes: a mail exists once its `.json` does,
which is renamed into place last. Neither file changes after that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NewType

import msgspec
import uuid_utils

MailId = NewType("MailId", str)

_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Arrival:
    """What only the SMTP session knew of a mail. Ids are in order of arrival."""

    id: MailId
    received_at: datetime
    ehlo: str
    mail_from: str
    recipients: tuple[str, ...]
    tls: str | None
    """Version and cipher, or None where the mail came in the clear."""
    size_bytes: int


def new_mail_id() -> MailId:
    """Return 32 hexadecimal digits, later ones greater."""
    return MailId(uuid_utils.uuid7().hex)


class MailFolder:
    """The mails that the mailbox took."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def prepare(self) -> None:
        """Make the folder, for its owner only. Raises OSError where that cannot be."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, arrival: Arrival, content: bytes) -> None:
        """Write a mail; it shows up whole or not at all. Raises OSError where the disk refuses."""
        self._write(f"{arrival.id}.eml", content)
        self._write(f"{arrival.id}.json", msgspec.json.encode(arrival))

    def newest(self, limit: int) -> tuple[Arrival, ...]:
        """Return at most `limit` mails, the newest first."""
        found = (self.find(identity) for identity in self._ids()[:limit])
        return tuple(arrival for arrival in found if arrival is not None)

    def state(self) -> str:
        """Return a text that changes whenever a mail comes or goes."""
        ids = self._ids()
        return f"{len(ids)}-{ids[0]}" if ids else "0"

    def find(self, identity: str) -> Arrival | None:
        """Return the mail of this id, or None where there is none or its file is damaged."""
        if not _ID.fullmatch(identity):
            return None
        try:
            return msgspec.json.decode(self._path(f"{identity}.json").read_bytes(), type=Arrival)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def content(self, arrival: Arrival) -> bytes:
        """Return the bytes of a mail as they came, or none where the file is gone."""
        try:
            return self._path(f"{arrival.id}.eml").read_bytes()
        except OSError:
            return b""

    def _ids(self) -> list[str]:
        """Return the ids of all mails, the newest first."""
        try:
            names = [path.stem for path in self.directory.iterdir() if path.suffix == ".json"]
        except OSError:
            return []
        return sorted(filter(_ID.fullmatch, names), reverse=True)

    def _path(self, name: str) -> Path:
        return self.directory / name

    def _write(self, name: str, content: bytes) -> None:
        draft = self._path(f"{name}.tmp")
        draft.write_bytes(content)
        draft.replace(self._path(name))
