"""The DKIM keys that the operator gives to all projects: files of one folder, loaded once and looked at again each
minute. `app.identity.keys.keyring` falls back to them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from app.errors import ConfigurationError
from app.mail.dkim import SigningKey, load_key

_LOOK_AGAIN_S = 60.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A key with the marks of its file, by which a changed file is told from the same one."""

    marks: tuple[int, int, int]
    key: SigningKey


class KeyFolder:
    """Signing keys by domain, from `<directory>/<domain>/<selector>.pem`."""

    def __init__(self, directory: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Load every key now, so that a bad file ends the start and not the first mail.

        Raises ConfigurationError for a folder or file that cannot be read, naming it.
        """
        self._directory = directory
        self._clock = clock
        self._files: dict[Path, _Loaded] = {}
        self._keys = self._load()
        self._loaded_at = clock()

    def keys_for(self, domain: str) -> tuple[SigningKey, ...]:
        """Return the keys that sign for `domain`: its own, or its nearest parent's (RFC 7489 §3.1.1)."""
        if self._clock() - self._loaded_at > _LOOK_AGAIN_S:
            self._look_again()
        while "." in domain:
            if keys := self._keys.get(domain):
                return keys
            domain = domain.partition(".")[2]
        return ()

    def _look_again(self) -> None:
        """Take what has changed. While something cannot be read, all that was known goes on signing."""
        self._loaded_at = self._clock()
        try:
            self._keys = self._load()
        except ConfigurationError as error:
            _log.error("dkim_keys_not_reloaded", error=error.detail)

    def _load(self) -> dict[str, tuple[SigningKey, ...]]:
        if self._directory is None:
            return {}
        try:
            folders = sorted(path for path in self._directory.iterdir() if _is_domain(path))
        except OSError as error:
            raise ConfigurationError(
                f"the folder of the DKIM keys cannot be read: {error}"
            ) from error
        return {folder.name.lower(): self._load_folder(folder) for folder in folders}

    def _load_folder(self, folder: Path) -> tuple[SigningKey, ...]:
        domain = folder.name.lower()
        return tuple(self._load_file(path, domain) for path in sorted(folder.glob("*.pem")))

    def _load_file(self, path: Path, domain: str) -> SigningKey:
        """Return the key of a file; reading one takes 40 ms, in which nobody is served, so only a new one is."""
        try:
            found = path.stat()
            marks = found.st_mtime_ns, found.st_size, found.st_ino
            known = self._files.get(path)
            if known is None or known.marks != marks:
                known = _Loaded(marks, load_key(path.read_bytes(), domain, path.stem))
                self._files[path] = known
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"the DKIM key {path} cannot be used: {error}") from error
        return known.key


def _is_domain(path: Path) -> bool:
    # A mounted Kubernetes Secret keeps its versions in folders whose names begin with dots.
    return path.is_dir() and not path.name.startswith(".")
