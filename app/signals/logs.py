"""Logs: one line an entry on standard error, JSON or text, free of secrets and of control characters.

Both structlog (ours) and the standard library (uvicorn, arq) end here. What a log line quotes may come
from anybody: nothing of it can start a new line, move a terminal's cursor, or show a key.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence

import orjson
import structlog
from structlog.types import EventDict, Processor

from app.settings import LogSettings

_SECRET = re.compile(
    r"pb_[0-9a-f]{32}_[0-9a-f]+|whsec_[A-Za-z0-9+/=]+|(?i:bearer) +\S+|://[^\s/@]*:[^\s/@]*@"
    r"|-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z0-9 ]*PRIVATE KEY-----)?"
)
_SECRET_NAMES = frozenset({"authorization", "secret", "password", "key"})
# JSON escapes C0 by itself; DEL, C1 and the bidirectional controls can still act on a terminal.
_ACTING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def configure_logs(settings: LogSettings) -> None:
    """Send every log of this process to standard error. Called once, by the process' entry point."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    structlog.configure(
        processors=[*_preparation(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(settings))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # At INFO arq writes every job and redis every reconnect; both repeat what we count.
    for noisy in ("arq", "redis", "asyncio"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))


def formatter(settings: LogSettings) -> logging.Formatter:
    """Return what turns an entry, of structlog or of the standard library, into its line."""
    written: Processor = _json if settings.format == "json" else _text
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_preparation(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _without_secrets,
            written,
        ],
    )


def _preparation() -> Sequence[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]


def _without_secrets(_logger: object, _method: str, entry: EventDict) -> EventDict:
    for name, value in entry.items():
        if name.lower() in _SECRET_NAMES:
            entry[name] = "[secret]"
        elif isinstance(value, str):
            entry[name] = _SECRET.sub("[secret]", value)
    return entry


def _json(_logger: object, _method: str, entry: EventDict) -> str:
    line = orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    return _ACTING.sub(_escaped, line)


def _text(_logger: object, _method: str, entry: EventDict) -> str:
    time, level = entry.pop("timestamp", ""), entry.pop("level", "")
    event, trouble = entry.pop("event", ""), entry.pop("exception", "")
    rest = " ".join(f"{name}={value}" for name, value in entry.items() if name != "logger")
    line = _ACTING.sub(_escaped, f"{time} {level:<7} {event} {rest}".rstrip())
    return "\n  ".join([line, *(_ACTING.sub(_escaped, text) for text in str(trouble).splitlines())])


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
