"""Log lines: short and plain for Jobs, which people read in ``helm install``'s output; JSON for what runs on."""

import json
import logging
import sys
import time
from datetime import UTC, datetime

_logger = logging.getLogger("gitops-runtime-auth")


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        prefix = "" if record.levelno == logging.INFO else f"{record.levelname}: "
        return prefix + record.getMessage()


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
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
    """Log a detail for the developer."""
    _emit(logging.DEBUG, message, fields)


def progress(message: str, **fields: object) -> None:
    """Log what somebody who waits for a Job wants to see, and a process that runs on says only when asked."""
    runs_on = any(isinstance(handler.formatter, _Json) for handler in _logger.handlers)
    _emit(logging.DEBUG if runs_on else logging.INFO, message, fields)


def info(message: str, **fields: object) -> None:
    """Log a step."""
    _emit(logging.INFO, message, fields)


def warning(message: str, **fields: object) -> None:
    """Log what works now and will hurt later."""
    _emit(logging.WARNING, message, fields)


def error(message: str, **fields: object) -> None:
    """Log a failure."""
    _emit(logging.ERROR, message, fields)


class Span:
    """Times a step and logs it at debug level, so that a run shows where its time went (seconds)."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> "Span":
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        debug(f"span {self.name} {time.perf_counter() - self._began:.3f} s")
