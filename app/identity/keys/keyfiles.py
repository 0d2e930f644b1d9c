"""Make the files of DKIM keys that `app.identity.keys.keyfolder` reads: `<directory>/<domain>/<selector>.pem`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from app.errors import ConfigurationError
from app.mail.address import AddressError, parse_address
from app.mail.dkim import Algorithm, DkimKeyError, SigningKey, generate_pem, load_key

_SUFFIXES = {Algorithm.RSA: "rsa", Algorithm.ED25519: "ed25519"}


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One key with its file; `is_new` is false where the file was there before and was left alone."""

    key: SigningKey
    path: Path
    is_new: bool


def create_keys(directory: Path, domain: str, selector: str) -> tuple[KeyFile, ...]:
    """Make an RSA and an Ed25519 key for `domain`, or load those of this selector that exist.

    Both sign: verifiers that know Ed25519 use it, all know RSA (RFC 8463 §3). Raises
    ConfigurationError for a domain or selector that cannot be, and where files cannot be written.
    """
    name = _host_name(domain)
    try:
        return tuple(
            _create_key(directory / name, f"{selector.lower()}-{suffix}", algorithm)
            for algorithm, suffix in _SUFFIXES.items()
        )
    except DkimKeyError as error:
        raise ConfigurationError(error.reason) from error
    except OSError as error:
        raise ConfigurationError(
            f"cannot use the folder {directory / name}: {error.strerror}"
        ) from error


def _host_name(domain: str) -> str:
    """Return the domain in A-labels, as the From address of a mail will have it."""
    try:
        return parse_address(f"postmaster@{domain}").domain
    except AddressError as error:
        raise ConfigurationError(f"{domain!a} is no domain that can send mail") from error


def _create_key(folder: Path, selector: str, algorithm: Algorithm) -> KeyFile:
    path = folder / f"{selector}.pem"
    if is_new := not path.exists():
        pem = generate_pem(algorithm)
        load_key(pem, folder.name, selector)  # refuses odd names before they become a path
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_private(path, pem)
    return KeyFile(load_key(path.read_bytes(), folder.name, selector), path, is_new)


def _write_private(path: Path, content: bytes) -> None:
    """Write a new file that nobody else can read, not even for a moment."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
