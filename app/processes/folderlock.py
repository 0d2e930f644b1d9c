"""A lock on a folder, so that two servers never write to the same data."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from app.errors import ConfigurationError

_POLL_S = 0.01


def lock_folder(directory: Path, holder: str, patience_s: float = 0.0) -> int:
    """Make the folder where it is missing, lock it, and return the descriptor that holds the lock.

    The lock ends when every process that has the descriptor has closed it or ended, however that
    came about. Raises ConfigurationError where the folder cannot be written to, or where another
    `holder` has it for longer than `patience_s`.
    """
    lock = _open(directory)
    deadline = time.monotonic() + patience_s
    while not _take(lock):
        if time.monotonic() >= deadline:
            os.close(lock)
            raise ConfigurationError(
                f"another {holder} is running on the folder {directory}: "
                "stop it first, or choose another folder"
            )
        time.sleep(_POLL_S)
    return lock


def _open(directory: Path) -> int:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to the folder {directory}: {error.strerror}"
        ) from error


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
