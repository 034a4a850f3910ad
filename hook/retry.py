"""One deadline for a whole run, and retries of what can heal within it."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tenacity.stop import stop_base

from hook import log
from hook.errors import HEALS, TemporaryError

T = TypeVar("T")

_FIRST_WAIT = 0.2
_LONGEST_WAIT = 8.0
_LONGEST_ASKED = 86400.0
"""Seconds: more than any deadline, so a run that is asked to wait longer ends at once."""


@dataclass(frozen=True)
class Deadline:
    """The moment by which a run must have ended with a message of its own, before Kubernetes kills it."""

    seconds: float
    """How long the run may take, in seconds, from the moment this object is made."""
    started: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Return the seconds left, never less than 0."""
        return max(0.0, self.started + self.seconds - time.monotonic())

    def spent(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self.started


def _wait(state: RetryCallState) -> float:
    """Full jitter over an exponential ceiling, and never less than the server's Retry-After."""
    ceiling: float = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(state.attempt_number - 1, 16))
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, TemporaryError) else 0.0
    return asked + random.uniform(ceiling / 4, ceiling)  # noqa: S311 (jitter, not a secret)


def asked_to_wait(header: str) -> float:
    """Return the seconds that ``Retry-After`` asks for, in seconds or as a date (RFC 9110, 10.2.3); 0 for none."""
    if header.isascii() and header.isdigit():
        return min(float(header), _LONGEST_ASKED)
    try:
        seconds = parsedate_to_datetime(header).timestamp() - time.time()
    except (ValueError, OverflowError, OSError):
        return 0.0
    return min(max(0.0, seconds), _LONGEST_ASKED)


class _StopAt(stop_base):
    """Stops when the next attempt would begin after the deadline."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def __call__(self, retry_state: RetryCallState) -> bool:
        return retry_state.upcoming_sleep >= self._deadline.left()


def until(deadline: Deadline, what: str, attempt: Callable[[], T], *, heals: tuple[type[Exception], ...] = HEALS) -> T:
    """Call ``attempt`` until it returns, fails for good, or the deadline passes.

    Only errors in ``heals`` are tried again, with jittered exponential backoff from 0.2 s to 8 s.
    ``what`` names the step in the log. Raises the last error as it is.
    """

    def note(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.progress(f"{what}: {error}; trying again in {state.upcoming_sleep:.1f} s ({deadline.left():.0f} s left).")

    return Retrying(
        stop=_StopAt(deadline), wait=_wait, retry=retry_if_exception_type(heals), before_sleep=note, reraise=True
    )(attempt)
