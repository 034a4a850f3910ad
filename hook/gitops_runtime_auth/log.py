"""Writes the log: plain lines in Jobs, which people read in the output of ``helm install``, and JSON in Pods."""

import json
import logging
import sys
import time
from datetime import UTC, datetime

_logger = logging.getLogger("gitops-runtime-auth")


def printable(text: str) -> str:
    """Return ``text`` with everything escaped that could control a terminal, except for line breaks.

    Messages contain texts of users and servers: addresses, names, redirects.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        prefix = "" if record.levelno == logging.INFO else f"{record.levelname}: "
        return prefix + printable(record.getMessage())


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": printable(record.getMessage()),
        }
        fields: dict[str, object] = getattr(record, "fields", {})
        line.update((name, printable(value) if isinstance(value, str) else value) for name, value in fields.items())
        return json.dumps(line, ensure_ascii=False)


def setup(level: str = "info", *, as_json: bool = False) -> None:
    """Send this package's log to standard error, from ``level`` (debug, info, warning, error) up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if as_json else _Plain())
    _logger.handlers[:] = [handler]
    _logger.setLevel(level.upper())
    _logger.propagate = False


def _emit(level: int, message: str, fields: dict[str, object]) -> None:
    _logger.log(level, "%s", message, extra={"fields": fields})


def debug(message: str, **fields: object) -> None:
    """Log a detail for developers."""
    _emit(logging.DEBUG, message, fields)


def progress(message: str, **fields: object) -> None:
    """Log an intermediate step: at level info in a Job, because somebody waits for it, else at level debug."""
    long_running = any(isinstance(handler.formatter, _Json) for handler in _logger.handlers)
    _emit(logging.DEBUG if long_running else logging.INFO, message, fields)


def info(message: str, **fields: object) -> None:
    """Log a completed step."""
    _emit(logging.INFO, message, fields)


def warning(message: str, **fields: object) -> None:
    """Log something that works now, but may fail later."""
    _emit(logging.WARNING, message, fields)


def error(message: str, **fields: object) -> None:
    """Log a failure."""
    _emit(logging.ERROR, message, fields)


class Span:
    """Measures a step and logs its duration in seconds, at level debug."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> "Span":
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        debug(f"span {self.name} {time.perf_counter() - self._began:.3f} s")
