"""The DKIM keys of the sending domains: files of one folder, loaded once and looked at again each minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from app.errors import ConfigurationError
from app.mail.dkim import SigningKey, load_key

_LOOK_AGAIN_S = 60.0


class Keyring:
    """Signing keys by domain, from `<directory>/<domain>/<selector>.pem`."""

    def __init__(self, directory: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Load every key now, so that a bad file ends the start and not the first mail.

        Raises ConfigurationError for a folder or file that cannot be read, naming it.
        """
        self._directory = directory
        self._clock = clock
        self._keys = self._load()
        self._loaded_at = clock()

    def keys_for(self, domain: str) -> tuple[SigningKey, ...]:
        """Return the keys that sign for `domain`: its own, or its nearest parent's (RFC 7489 §3.1.1)."""
        if self._clock() - self._loaded_at > _LOOK_AGAIN_S:
            self._keys, self._loaded_at = self._load(), self._clock()
        while "." in domain:
            if keys := self._keys.get(domain):
                return keys
            domain = domain.partition(".")[2]
        return ()

    def _load(self) -> dict[str, tuple[SigningKey, ...]]:
        if self._directory is None:
            return {}
        try:
            folders = sorted(path for path in self._directory.iterdir() if _is_domain(path))
        except OSError as error:
            raise ConfigurationError(
                f"the folder of the DKIM keys cannot be read: {error}"
            ) from error
        return {folder.name.lower(): _load_folder(folder) for folder in folders}


def _is_domain(path: Path) -> bool:
    # A mounted Kubernetes Secret keeps its versions in folders whose names begin with dots.
    return path.is_dir() and not path.name.startswith(".")


def _load_folder(folder: Path) -> tuple[SigningKey, ...]:
    return tuple(_load_file(path, folder.name.lower()) for path in sorted(folder.glob("*.pem")))


def _load_file(path: Path, domain: str) -> SigningKey:
    try:
        return load_key(path.read_bytes(), domain, path.stem)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the DKIM key {path} cannot be used: {error}") from error
