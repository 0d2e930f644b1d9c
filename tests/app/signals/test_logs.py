"""Log lines: one entry each, without secrets, with nothing that acts on a terminal."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
import structlog

from app.settings import LogSettings
from app.signals.logs import configure_logs, formatter

Written = Callable[[], str]


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """What standard error got since it was last asked; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield lambda: capsys.readouterr().err
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def _configure(form: Literal["json", "text"] = "json") -> None:
    configure_logs(LogSettings(format=form, level="info"))


def test_entry_is_one_line_of_json(written: Written) -> None:
    _configure()
    structlog.get_logger("app.x").info("accepted", lanes=3)
    entry = json.loads(written())
    assert entry["event"] == "accepted"
    assert entry["lanes"] == 3
    assert entry["level"] == "info"
    assert entry["timestamp"].endswith("Z")


def test_entry_of_the_standard_library_looks_the_same(written: Written) -> None:
    _configure()
    logging.getLogger("uvicorn.error").warning("started on %s", "127.0.0.1")
    entry = json.loads(written())
    assert (entry["event"], entry["level"]) == ("started on 127.0.0.1", "warning")


def test_entry_below_the_level_is_not_written(written: Written) -> None:
    _configure()
    structlog.get_logger("app.x").debug("nothing")
    logging.getLogger("arq.worker").info("job with arguments")
    assert written() == ""


@pytest.mark.parametrize("form", ["json", "text"])
def test_quoted_text_starts_no_line_and_moves_no_cursor(
    written: Written, form: Literal["json", "text"]
) -> None:
    _configure(form)
    structlog.get_logger("app.x").info("refused", text="a\r\nb\x1b[2J\x7f\x9b31m\u2028\u202ec\0")
    line = written()
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()


@pytest.mark.parametrize("form", ["json", "text"])
def test_secrets_are_left_out(written: Written, form: Literal["json", "text"]) -> None:
    _configure(form)
    key = f"pb_{'0' * 32}_{'5ec2e7' * 8}"
    log = structlog.get_logger("app.x")
    log.warning(
        "refused", header=f"Bearer {key}", text=f"{key} is unknown", authorization="abc5ec2e7"
    )
    log.warning(
        "failed", url="redis://user:5ec2e7@redis/0", secret="whsec_5ec2e7", note="whsec_5ec2e7=="
    )
    logging.getLogger("x").warning("signing with %s", "whsec_5ec2e7")
    try:
        raise ValueError(key)
    except ValueError:
        log.exception("broken")
    pem = "-----BEGIN PRIVATE KEY-----\n5ec2e7\n-----END PRIVATE KEY-----"
    log.warning("refused", text=f"{pem} and -----BEGIN RSA PRIVATE KEY-----5ec2e7 cut off")
    assert "5ec2e7" not in written()


def test_exception_stays_on_the_line_of_its_entry(written: Written) -> None:
    _configure()
    try:
        raise ValueError("two\nlines")
    except ValueError:
        structlog.get_logger("app.x").exception("broken")
    (line,) = written().splitlines()
    assert "ValueError: two\nlines" in json.loads(line)["exception"]


def test_formatter_can_be_used_alone() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "hello", None, None)
    assert json.loads(formatter(LogSettings()).format(record))["event"] == "hello"
