"""Two independent verifiers of DKIM signatures: dkimpy and OpenDKIM."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import dkim  # type: ignore[import-untyped]  # dkimpy ships no types

OPENDKIM = shutil.which("opendkim", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin")
_SIGNATURE = re.compile(rb"(?m)^DKIM-Signature:(?:[^\r]|\r\n[ \t])*?\bs=(\w+);")
_RESULT = re.compile(r"\tdkim=(\w+)[^;]*header\.s=(\w+)")


def dkimpy_accepts(message: bytes, index: int, records: Mapping[str, str]) -> bool:
    """Tell whether dkimpy finds the signature at `index` valid. `records` are TXT values by name."""

    def lookup(name: bytes, timeout: int = 5) -> bytes:
        del timeout
        return records[name.decode().rstrip(".")].encode()

    try:
        return bool(dkim.DKIM(message).verify(idx=index, dnsfunc=lookup))
    except dkim.DKIMException:
        return False


def opendkim_results(
    messages: Sequence[bytes], records: Mapping[str, str], folder: Path
) -> list[dict[str, str]]:
    """Return what OpenDKIM says of each message: "pass" or "fail" by selector.

    It exits with 0 either way, so its output is read.
    """
    assert OPENDKIM is not None
    keys = folder / "keys"
    keys.write_text("".join(f"{name} {value}\n" for name, value in records.items()))
    config = folder / "opendkim.conf"
    config.write_text(f"TestPublicKeys {keys}\n")
    files = [folder / f"{number}.eml" for number in range(len(messages))]
    for file, message in zip(files, messages, strict=True):
        file.write_bytes(message)
    command = [OPENDKIM, "-x", str(config), "-vvv", "-t", ",".join(map(str, files))]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    reports = run.stdout.split("### INSHEADER")[1:]
    assert len(reports) == len(messages), run.stdout + run.stderr
    return [
        {selector: result for result, selector in _RESULT.findall(report)} for report in reports
    ]


def verdicts(messages: Sequence[bytes], records: Mapping[str, str]) -> list[set[str]]:
    """Return for each message which signatures hold, as "dkimpy <selector>" and "opendkim <selector>"."""
    with TemporaryDirectory() as folder:
        results = opendkim_results(messages, records, Path(folder))
    return [
        {f"opendkim {name}" for name, result in found.items() if result == "pass"}
        | {f"dkimpy {name}" for name in _accepted(message, records)}
        for message, found in zip(messages, results, strict=True)
    ]


def _accepted(message: bytes, records: Mapping[str, str]) -> Iterator[str]:
    """Yield the selector of each signature that dkimpy accepts."""
    signatures = _SIGNATURE.findall(message[: message.index(b"\r\n\r\n") + 2])
    for index, selector in enumerate(signatures):
        if dkimpy_accepts(message, index, records):
            yield selector.decode()
